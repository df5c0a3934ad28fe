// Thinking and tool calls in words.

import { gettext } from "../language/translate.js"

/**
 * What stands over a folded block; `tookMs` is null where nobody has measured it, `consent` where nobody was asked or
 * the call was allowed, else `asked` or `declined`.
 */
export function blockTitle({ kind, name, isFinished, tookMs, consent = null }) {
  if (kind === "thinking") return isFinished ? thoughtText(tookMs) : gettext("Thinking…")
  if (kind === "note") return gettext("What the chat told the model")
  if (kind !== "tool_input") return kind
  const title = callTitle(consent, isFinished)
  return name ? `${title} (${name})` : title
}

function callTitle(consent, isFinished) {
  if (consent === "asked") return gettext("Wants to call a tool")
  if (consent === "declined") return gettext("Did not call a tool")
  return isFinished ? gettext("Called a tool") : gettext("Calling a tool…")
}

function thoughtText(tookMs) {
  if (tookMs === null) return gettext("Thought")
  const seconds = Math.max(1, Math.round(tookMs / 1000))
  const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60]
  if (minutes === 0) return gettext("Thought for {seconds} s", { seconds })
  return gettext("Thought for {minutes} min {seconds} s", { minutes, seconds: rest })
}

/** The input of a call, laid out if it is whole. */
export function inputText(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2)
  } catch {
    return json
  }
}

/** The result of a call, from the `data` of its block: pages by title and address, anything else as it is. */
export function resultText({ content, is_cut: isCut }) {
  if (isCut) return gettext("The result is too long to be shown.")
  if (content === undefined) return ""
  if (content?.error_code) return gettext("It failed: {why}.", { why: content.error_code.replaceAll("_", " ") })
  return [content].flat().map(partText).join("\n")
}

function partText(part) {
  if (typeof part === "string") return part
  if (part?.type === "text") return part.text
  if (part?.url) return [part.title, part.url].filter(Boolean).join("\n  ")
  return JSON.stringify(part, null, 2)
}
