import { ngettext } from "../language/translate.js"

const FENCE = /^\s*(```|~~~)/
const BEGINNING = /^\s*(?:(?:>|#{1,6}|[-*+]|\d{1,3}[.)])\s+)*/
const LINK = /!?\[([^\]\n]*)\]\([^)\n]*\)/g
const MARKS = /(\*\*|__|`+)(\S(?:[^\n]*?\S)?)\1/g
const WORDS = /[\p{L}\p{N}_]/u

/** The title of a new conversation until the server sends one, made as there: the first line with words. */
export function firstWords(text, maxChars) {
  const line = firstLine(text).trim()
  return line.length > maxChars ? `${line.slice(0, maxChars - 1)}…` : line
}

function firstLine(text) {
  let code = ""
  for (const { line, isCode } of linesOf(text)) {
    if (!isCode && WORDS.test(line)) return line.replace(BEGINNING, "").replace(LINK, "$1").replace(MARKS, "$2")
    code ||= line.trim()
  }
  return code
}

function* linesOf(text) {
  let fence = null
  for (const line of text.split("\n")) {
    const found = FENCE.exec(line)?.[1] ?? null
    if (fence === null && found === null) yield { line, isCode: false }
    else if (fence === null) fence = found
    else if (found === fence) fence = null
    else yield { line, isCode: true }
  }
}

/** What a screen reader says when earlier messages are loaded. */
export const earlierText = (count) =>
  ngettext("{count} earlier message is shown.", "{count} earlier messages are shown.", count)
