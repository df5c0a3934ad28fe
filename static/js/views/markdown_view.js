import { gettext } from "../language/translate.js"
import { splitAtMarks, withMark, withoutGuards } from "../text/citation_marks.js"
import { MarkdownStream } from "../text/markdown_stream.js"
import { copiesOnClick } from "./clipboard.js"
import { fromTemplate, part } from "./dom.js"
import { reconciled } from "./reconciled.js"
import { proseFragment } from "./sanitizer.js"
import { citationMark } from "./source_list.js"
import { directBlocks } from "./text_direction.js"

/** A growing Markdown text in the page. Settled blocks are drawn once; only the tail is drawn again. */
export class MarkdownView {
  #highlighter
  #typesetter
  #stream = new MarkdownStream()
  // Texts, and between them the sources that are cited there.
  #pieces = []
  #tailNodes = []
  #openFence = null
  #isFinished = false

  constructor({ highlighter, typesetter }) {
    this.#highlighter = highlighter
    this.#typesetter = typesetter
    this.element = document.createElement("div")
    this.element.className = "prose"
  }

  /** The text with its citation marks, as it is copied. */
  get source() {
    return this.#pieces.reduce(
      (text, piece) => (typeof piece === "string" ? text + piece : withMark(text, `[${piece.number}]`)),
      "",
    )
  }

  append(text) {
    this.#take(withoutGuards(text))
  }

  /** What was appended last is from these sources (see `Sources`). */
  cite(sources) {
    for (const source of sources) this.#take(source)
  }

  draw() {
    if (this.#isFinished) return
    const { settled, tail } = this.#stream.read()
    if (settled.length === 0 && this.#grewOpenFence(tail)) return
    const settledNodes = settled.flatMap((block) => this.#nodes(block))
    const tailNodes = tail.flatMap((block) => this.#nodes(block))
    const shown = reconciled(this.element, this.#tailNodes, [...settledNodes, ...tailNodes])
    for (const node of shown) this.#typesetter.typesetInside(node)
    this.#tailNodes = shown.splice(settledNodes.length)
    for (const node of shown) this.#highlightInside(node)
    this.#openFence = openFenceIn(tail.at(-1), this.#tailNodes.at(-1))
  }

  /** No more text will come. */
  finish() {
    if (this.#isFinished) return
    const definitions = this.#stream.definitions()
    if (Object.keys(definitions).length > 0) this.#startAgain(definitions)
    this.draw()
    this.#isFinished = true
    this.#openFence = null
    this.#tailNodes = []
    this.#highlightInside(this.element)
    this.#drawLostMarks()
  }

  #take(piece) {
    const last = this.#pieces.length - 1
    if (typeof piece !== "string") this.#pieces.push(piece)
    else if (typeof this.#pieces[last] === "string") this.#pieces[last] += piece
    else this.#pieces.push(piece)
    this.#write(piece)
  }

  #write(piece) {
    if (typeof piece === "string") this.#stream.append(piece)
    else this.#stream.mark(piece.number)
  }

  // Links may be used before they are defined; only now is that known for all of them.
  #startAgain(definitions) {
    this.#stream = new MarkdownStream({ definitions })
    for (const piece of this.#pieces) this.#write(piece)
    this.#tailNodes = [...this.element.children]
    this.#openFence = null
  }

  // A long code block grows by its new characters instead of being drawn again and again.
  #grewOpenFence(tail) {
    const block = tail.length === 1 ? tail[0] : null
    if (!block?.isOpenFence || this.#openFence === null) return false
    const { node, language } = this.#openFence
    if (language !== block.language || !block.code.startsWith(node.data)) return false
    node.appendData(block.code.slice(node.data.length))
    return true
  }

  #highlightInside(element) {
    for (const code of element.querySelectorAll("code[data-waiting]")) this.#highlight(code)
  }

  #nodes({ html }) {
    const fragment = proseFragment(html)
    for (const pre of fragment.querySelectorAll("pre")) frameCode(pre)
    for (const table of fragment.querySelectorAll("table")) frameTable(table)
    directBlocks(fragment)
    this.#drawMarks(fragment)
    return [...fragment.children]
  }

  get #sources() {
    return this.#pieces.filter((piece) => typeof piece !== "string")
  }

  #drawMarks(fragment) {
    if (this.#sources.length === 0) return
    const byNumber = new Map(this.#sources.map((source) => [source.number, source]))
    const walker = document.createTreeWalker(fragment, NodeFilter.SHOW_TEXT)
    const texts = []
    while (walker.nextNode()) texts.push(walker.currentNode)
    for (const text of texts) {
      const pieces = splitAtMarks(text.data)
      if (pieces.length === 1) continue
      const drawn = pieces.map((piece) => (typeof piece === "string" ? piece : citationMark(byNumber.get(piece))))
      const link = text.parentElement?.closest("a")
      if (!link) text.replaceWith(...drawn)
      else {
        text.data = pieces.filter((piece) => typeof piece === "string").join("")
        link.after(...drawn.filter((piece) => typeof piece !== "string"))
      }
    }
  }

  // Those that stood in code, or in what Markdown does not show.
  #drawLostMarks() {
    const drawn = new Set(Array.from(this.element.querySelectorAll(".cite"), ({ textContent }) => textContent))
    const lost = new Map(this.#sources.map((source) => [`[${source.number}]`, source]))
    for (const number of drawn) lost.delete(number)
    if (lost.size === 0) return
    const place = document.createElement("p")
    place.append(...Array.from(lost.values(), citationMark))
    this.element.append(place)
  }

  #highlight(code) {
    const { language } = code.dataset
    delete code.dataset.waiting
    this.#highlighter.highlight(code, language)
  }
}

function frameCode(pre) {
  const code = pre.querySelector("code") ?? pre
  const frame = fromTemplate("code-template")
  const name = [...code.classList].find((item) => item.startsWith("language-"))?.slice("language-".length) ?? ""
  part(frame, "language").textContent = name || "text"
  code.dataset.language = name
  code.dataset.waiting = ""
  pre.replaceWith(frame)
  part(frame, "body").append(pre)
  pre.tabIndex = 0
  part(frame, "wrap").addEventListener("click", ({ currentTarget }) => {
    currentTarget.ariaPressed = String(currentTarget.ariaPressed !== "true")
  })
  copiesOnClick(part(frame, "copy"), () => part(frame, "body").textContent)
}

// The text of a code block that still grows, at the end of a view.
function openFenceIn(block, frame) {
  if (!block?.isOpenFence) return null
  const code = frame.querySelector("code")
  return { node: code.firstChild ?? code.appendChild(document.createTextNode("")), language: block.language }
}

function frameTable(table) {
  const frame = document.createElement("div")
  frame.className = "prose__table"
  frame.tabIndex = 0
  frame.role = "region"
  frame.ariaLabel = gettext("Table")
  table.replaceWith(frame)
  frame.append(table)
}
