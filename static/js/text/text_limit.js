import { ngettext } from "../language/translate.js"

// Room for the frame around the text: its type, ids and brackets.
const ENVELOPE_BYTES = 1024

// The most that one UTF-16 unit can take in a JSON text frame: an escape such as \u001f.
const MAX_BYTES_PER_UNIT = 6

/** How many characters of `text` are too many for the server's limits, as it counts them; 0 if it fits. */
export function charsTooMany(text, { text_chars, frame_bytes }) {
  const charsOver = text.length <= text_chars ? 0 : Math.max(0, [...text].length - text_chars)
  if (text.length * MAX_BYTES_PER_UNIT + ENVELOPE_BYTES <= frame_bytes) return charsOver
  const bytes = new TextEncoder().encode(JSON.stringify(text)).length
  const bytesOver = bytes + ENVELOPE_BYTES - frame_bytes
  return bytesOver <= 0 ? charsOver : Math.max(charsOver, Math.ceil((bytesOver * text.length) / bytes))
}

/** What a person is told who has written too much; empty otherwise. */
export const tooManyText = (charsOver) =>
  charsOver > 0 ? ngettext("{count} character too many to send", "{count} characters too many to send", charsOver) : ""

const FOLDED_CHARS = 1500
const FOLDED_LINES = 15

/** Whether a sent message takes so much room that only its beginning is shown at first. */
export const isLong = (text) => text.length > FOLDED_CHARS || text.split("\n").length > FOLDED_LINES
