const ALLOWED = new Set(["http:", "https:", "mailto:"])

// Where a joiner or a variation selector belongs to what is seen: inside an emoji, and after a letter of a script whose
// letters change their form by it.
const EMOJI = String.raw`\p{Extended_Pictographic}[\uFE0E\uFE0F]?\p{EMod}?`
const JOINING = "Arab Syrc Mong Deva Beng Guru Gujr Orya Taml Telu Knda Mlym Sinh Mymr Khmr"
const LETTER = `[${JOINING.replace(/(\w+) ?/g, String.raw`\p{scx=$1}`)}]`
const VISIBLE_BY_THEM = [
  String.raw`${EMOJI}(?:\u200D${EMOJI})*`,
  String.raw`[#*0-9]\uFE0F\u20E3`,
  String.raw`(?![\u061C\u17B4\u17B5\u180B-\u180F])${LETTER}[\u200C\u200D]`,
].join("|")

// Bidirectional controls, zero-width characters and similar: a link's text must read as what it is.
const INVISIBLE =
  // biome-ignore lint/suspicious/noMisleadingCharacterClass: each of them is meant alone, wherever it stands
  /[\u00AD\u034F\u061C\u115F\u1160\u17B4\u17B5\u180B-\u180F\u200B-\u200F\u202A-\u202E\u2060-\u206F\uFE00-\uFE0F\uFEFF\uFFF9-\uFFFB]|[\u{E0000}-\u{E007F}]/gu

const VISIBLE_OR_NOT = new RegExp(`(${VISIBLE_BY_THEM})|${INVISIBLE.source}`, "gu")

/** The address as a browser would follow it, or null if it may not be a link at all. */
export function safeHref(address) {
  try {
    const url = new URL(address)
    return ALLOWED.has(url.protocol) ? url.href : null
  } catch {
    return null
  }
}

/**
 * Where a link leads, if its own text does not say so: the host, as a browser asks for it, or the address of a mail.
 * Null for a text that is the address itself. A text that only looks like an address is a claim, not the target.
 */
export function unsaidTarget(href, text) {
  const { protocol, host, pathname } = new URL(href)
  const target = protocol === "mailto:" ? pathname : host
  const beginning = protocol === "mailto:" ? `mailto:${target}` : `${protocol}//${host}`
  const said = text.trim().toLowerCase()
  const isSaid =
    said === target || said === beginning || ["/", "?", "#"].some((end) => said.startsWith(beginning + end))
  return isSaid ? null : target
}

export const withoutInvisible = (text) => text.replace(VISIBLE_OR_NOT, (_, seen = "") => seen)
