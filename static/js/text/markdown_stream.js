import { markOf, withMark } from "./citation_marks.js"
import { parseBlocks } from "./markdown.js"

// One character outside this set decides what kind of line a half-written line is.
// Nor is it decided where it may begin a formula.
const MAY_BE_FORMULA = /^\s*(\$|\\)/
const DECIDED = /[^-+*_=#`~>|:\d.)\\\s]/

/**
 * Markdown that grows. Everything before the last block is settled and never read again, so that the work per
 * token does not grow with the answer; only the tail is parsed anew.
 */
export class MarkdownStream {
  #tail = ""
  #heldBack = ""
  #definitions
  #headings = []
  // Of the block in whose middle the tail begins.
  #within = null

  /** `definitions` are link definitions known in advance, from an earlier reading of the same text. */
  constructor({ definitions = {} } = {}) {
    this.#definitions = definitions
  }

  append(text) {
    const joined = this.#heldBack + text
    // The second half of a line break may come with the next piece.
    this.#heldBack = joined.endsWith("\r") ? "\r" : ""
    this.#tail += joined.slice(0, joined.length - this.#heldBack.length).replace(/\r\n?/g, "\n")
  }

  /** Puts the mark of a citation at the end of the text so far. */
  mark(number) {
    // The last visible character is never settled: the last block may always go on.
    this.#tail = withMark(this.#tail, markOf(number))
  }

  /**
   * `{ settled, tail }`: blocks that will not change any more, each returned once, and those that may still change.
   * A block is as in `parseBlocks`, whole or a piece of it.
   */
  read() {
    const env = { references: { ...this.#definitions }, headings: this.#headings, within: this.#within }
    const blocks = parseBlocks(this.#tail, env)
    const keepFrom = this.#firstUnsettled(blocks)
    if (keepFrom > 0) this.#settle(blocks[keepFrom])
    return { settled: blocks.slice(0, keepFrom), tail: blocks.slice(keepFrom) }
  }

  /** The link definitions of the whole text so far, the tail included. */
  definitions() {
    const env = { references: { ...this.#definitions }, within: this.#within }
    parseBlocks(this.#tail, env)
    return env.references
  }

  // A half-written definition must not be kept, so only settled text adds definitions.
  #settle(next) {
    const offset = offsetOfLine(this.#tail, next.startLine)
    const env = { references: this.#definitions, headings: this.#headings, within: this.#within }
    parseBlocks(this.#tail.slice(0, offset), env)
    this.#headings = env.headings
    this.#tail = this.#tail.slice(offset)
    this.#within = next.goesOn === null ? null : next.within
  }

  // A later block settles the ones before it, unless it stands on half a line that may yet turn out to continue
  // them: "2" can become "2. next", "#" can become "#hashtag".
  #firstUnsettled(blocks) {
    const last = blocks.length - 1
    if (last < 1) return 0
    const lineStart = this.#tail.lastIndexOf("\n") + 1
    const wholeLines = this.#tail.slice(0, lineStart).split("\n").length - 1
    const isOnWholeLine = blocks[last].startLine < wholeLines
    const line = this.#tail.slice(lineStart)
    const isDecided = !blocks[last].isOpenFence && DECIDED.test(line) && !MAY_BE_FORMULA.test(line)
    return isOnWholeLine || isDecided ? last : last - 1
  }
}

function offsetOfLine(text, line) {
  let offset = 0
  for (let count = 0; count < line; count += 1) offset = text.indexOf("\n", offset) + 1
  return offset
}
