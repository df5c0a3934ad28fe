// `[^1]` in a text, and `[^1]: the note` at the beginning of a line. A note stands where it was written, in most cases
// at the end, so that nothing moves while an answer grows. Names are numbers, or words with one: `[^0-9]` is none.
const REFERENCE = /\[\^(\d{1,3}|[a-z]+[-_]?\d{1,3})\](?!:)/iy
const NOTE = /^\[\^(\d{1,3}|[a-z]+[-_]?\d{1,3})\]:[ \t]+(?=\S)/i

export function withFootnotes(markdown) {
  markdown.block.ruler.before("reference", "footnote", footnote, { alt: ["paragraph"] })
  markdown.inline.ruler.before("link", "footnote_mark", footnoteMark)
  markdown.renderer.rules.footnote_mark = (tokens, index) =>
    `<sup class="footnote-mark">${markdown.utils.escapeHtml(tokens[index].content)}</sup>`
}

function footnoteMark(state, isSilent) {
  REFERENCE.lastIndex = state.pos
  const found = REFERENCE.exec(state.src)
  if (found === null || REFERENCE.lastIndex > state.posMax) return false
  if (!isSilent) state.push("footnote_mark", "sup", 0).content = found[1]
  state.pos = REFERENCE.lastIndex
  return true
}

function footnote(state, startLine, endLine, isSilent) {
  const lineOf = (line) => state.src.slice(state.bMarks[line] + state.tShift[line], state.eMarks[line])
  const found = NOTE.exec(lineOf(startLine))
  if (found === null || state.sCount[startLine] - state.blkIndent >= 4) return false
  if (isSilent) return true
  let next = startLine + 1
  while (next < endLine && !state.isEmpty(next) && !NOTE.test(lineOf(next))) next += 1
  const map = [startLine, next]
  Object.assign(state.push("paragraph_open", "p", 1), { map, attrs: [["class", "footnote"]] })
  const source = state.getLines(startLine, next, state.blkIndent, false).trim()
  Object.assign(state.push("inline", "", 0), {
    map,
    content: `[^${found[1]}] ${source.slice(found[0].length)}`,
    children: [],
  })
  state.push("paragraph_close", "p", -1)
  state.line = next
  return true
}
