// Formulas between `\(` and `\)`, `\[` and `\]`, `$$` and `$$`; and between single dollars where what they enclose can
// hardly be money: `$5 to $10` stays as it is.
const BLOCK_OPENING = /^(\$\$|\\\[)/
const CLOSINGS = { $$: "$$", "\\[": "\\]", "\\(": "\\)" }
const MAX_CHARS = 5_000
const DOLLARS = /\$(?![\s$])((?:[^$\\\n]|\\.)+?)(?<!\s)\$(?!\d)/y
const FORMULA = /^[A-Za-z]$|[\\^_=<>{}]|^[A-Za-z]\([A-Za-z]\)$|[A-Za-z0-9]\s*[+*/]\s*[A-Za-z0-9]/
const MONEY = /^\d[\d.,]*\s/

/** Teaches markdown-it formulas. They come out as their source, in an element that the page draws them in. */
export function withMaths(markdown) {
  markdown.block.ruler.before("fence", "maths", mathsBlock, { alt: ["paragraph", "reference", "blockquote", "list"] })
  markdown.inline.ruler.before("escape", "maths", mathsInline)
  const { escapeHtml } = markdown.utils
  markdown.renderer.rules.maths_inline = (tokens, index) =>
    `<span class="math">${escapeHtml(tokens[index].content)}</span>`
  markdown.renderer.rules.maths_display = (tokens, index) =>
    `<span class="math math--display">${escapeHtml(tokens[index].content)}</span>`
  markdown.renderer.rules.maths_block = (tokens, index) =>
    `<p class="math math--display">${escapeHtml(tokens[index].content)}</p>\n`
}

// A formula by itself, over one or more lines without an empty one. One that is not closed is a paragraph, as long as it
// would be a formula: while it is written, nothing in it becomes a list or a heading.
function mathsBlock(state, startLine, endLine, isSilent) {
  const first = lineOf(state, startLine)
  const opening = BLOCK_OPENING.exec(first)?.[1]
  if (opening === undefined || state.sCount[startLine] - state.blkIndent >= 4) return false
  const closing = CLOSINGS[opening]
  const sameLine = first.indexOf(closing, 2)
  if (sameLine >= 0 && first.slice(sameLine + 2).trim() !== "") return false
  if (isSilent) return true
  let last = startLine
  const isClosed = () => lineOf(state, last).trimEnd().endsWith(closing) && (last > startLine || sameLine >= 0)
  while (!isClosed() && last + 1 < endLine && !state.isEmpty(last + 1)) last += 1
  const source = state.getLines(startLine, last + 1, state.blkIndent, false).trim()
  if (isClosed()) pushFormula(state, source.slice(2, -2).trim(), [startLine, last + 1])
  else pushParagraph(state, source, [startLine, last + 1])
  state.line = last + 1
  return true
}

const lineOf = (state, line) => state.src.slice(state.bMarks[line] + state.tShift[line], state.eMarks[line])

function pushFormula(state, content, map) {
  const token = state.push("maths_block", "p", 0)
  Object.assign(token, { block: true, content, map })
}

function pushParagraph(state, content, map) {
  Object.assign(state.push("paragraph_open", "p", 1), { map })
  Object.assign(state.push("inline", "", 0), { content, map, children: [] })
  state.push("paragraph_close", "p", -1)
}

function mathsInline(state, isSilent) {
  const found = betweenSigns(state) ?? betweenDollars(state)
  if (found === null) return false
  if (!isSilent) state.push(found.isDisplay ? "maths_display" : "maths_inline", "span", 0).content = found.content
  state.pos = found.end
  return true
}

function betweenSigns({ src, pos, posMax }) {
  const opening = src.slice(pos, pos + 2)
  const closing = CLOSINGS[opening]
  if (closing === undefined) return null
  const at = src.slice(pos + 2, Math.min(posMax, pos + MAX_CHARS)).indexOf(closing)
  const content = src.slice(pos + 2, pos + 2 + at).trim()
  return at < 0 || content === "" ? null : { content, isDisplay: opening !== "\\(", end: pos + at + 4 }
}

function betweenDollars({ src, pos, posMax }) {
  DOLLARS.lastIndex = pos
  const content = src[pos] === "$" ? DOLLARS.exec(src)?.[1] : undefined
  if (content === undefined || DOLLARS.lastIndex > posMax) return null
  if (MONEY.test(content) || !FORMULA.test(content)) return null
  return { content, isDisplay: false, end: DOLLARS.lastIndex }
}
