// Citation marks in Markdown: they are part of the text while it is parsed, so that they stand where they belong, inside
// a list item or a cell. Around the number stand noncharacters, which no text may hold, and white space, so that no
// address and no emphasis beside a mark changes its meaning.
const GUARD = "\uFDD0"
const SPACE = "\u205F"
const MARK = new RegExp(`${SPACE}?${GUARD}(\\d+)${GUARD}${SPACE}?`, "g")
const FENCE_LINE = /(^|\n) {0,3}(`{3,}|~{3,})[^\n]*$/
const ROW_END = /\|$/

/** Text from outside, in which nothing can be taken for a mark. */
export const withoutGuards = (text) => text.replaceAll(GUARD, "\uFFFD")

export const withoutMarks = (text) => text.replace(MARK, "")

export const markOf = (number) => `${SPACE}${GUARD}${number}${GUARD}${SPACE}`

/** A text between whose parts the marks stand: `["59 F", 1, " for"]`. */
export const splitAtMarks = (text) => text.split(MARK).map((piece, index) => (index % 2 === 1 ? Number(piece) : piece))

/**
 * `text` with `mark` after its last visible character: before the line break that may follow it, before the bar that
 * ends a table's row, and below a line that ends a block of code.
 */
export function withMark(text, mark) {
  const visible = text.trimEnd()
  const rest = text.slice(visible.length)
  if (FENCE_LINE.test(visible)) return `${visible}\n\n${mark}\n\n${rest.trimStart()}`
  if (ROW_END.test(visible)) return `${visible.slice(0, -1)}${mark}|${rest}`
  return `${visible}${mark}${rest}`
}
