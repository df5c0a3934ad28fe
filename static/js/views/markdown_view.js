import { gettext } from "../language/translate.js"
import { splitAtMarks, withMark, withoutGuards } from "../text/citation_marks.js"
import { MarkdownStream } from "../text/markdown_stream.js"
import { copiesOnClick } from "./clipboard.js"
import { fromTemplate, part } from "./dom.js"
import { become } from "./reconciled.js"
import { proseFragment } from "./sanitizer.js"
import { citationMark } from "./source_list.js"
import { directBlocks } from "./text_direction.js"

// So many blocks are laid out together: what is above costs nothing while a long answer grows.
const BLOCKS_PER_PART = 16

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
    const drawn = [...settled, ...tail].flatMap((block) => this.#nodes(block).map((node) => ({ block, node })))
    const shown = this.#show(drawn.map(({ node }) => node))
    for (const node of shown) this.#typesetter.typesetInside(node)
    const settledCount = drawn.filter(({ block }) => settled.includes(block)).length
    this.#tailNodes = shown.slice(settledCount)
    for (const [place, node] of shown.slice(0, settledCount).entries()) {
      if (!drawn[place].block.hasMore) this.#highlightInside(node.closest(".code") ?? node)
    }
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

  // What is equal stays the same node; what goes on with a code block or a table stands inside of it.
  #show(nodes) {
    const before = this.#tailNodes
    const isAnother = (node, place) => kindOfPlace(node) !== kindOfPlace(before[place])
    const same = nodes.findIndex((node, place) => place >= before.length || isAnother(node, place))
    const count = same < 0 ? nodes.length : same
    const kept = nodes.slice(0, count).map((node, place) => become(before[place], node))
    for (const node of before.slice(count)) node.remove()
    for (const part of this.element.querySelectorAll(":scope > :empty")) part.remove()
    for (const node of nodes.slice(count)) this.#placeFor(node).append(node)
    return [...kept, ...nodes.slice(count)]
  }

  #placeFor(node) {
    const part = this.element.lastElementChild
    if (kindOfPlace(node) === "table") return part.lastElementChild.querySelector("table")
    if (kindOfPlace(node) === "code") return waitingCode(part.lastElementChild)
    return part !== null && part.childElementCount < BLOCKS_PER_PART ? part : this.#newPart()
  }

  #newPart() {
    const part = document.createElement("div")
    part.className = "prose__part"
    this.element.append(part)
    return part
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
    this.#tailNodes = Array.from(this.element.children, ({ children }) => [...children]).flat()
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

  #nodes({ html, goesOn }) {
    const fragment = proseFragment(html)
    if (goesOn === "code") return [moreCode(fragment)]
    for (const pre of fragment.querySelectorAll("pre")) frameCode(pre)
    for (const table of fragment.querySelectorAll("table")) frameTable(table)
    directBlocks(fragment)
    this.#drawMarks(fragment)
    if (goesOn === "table") return [...fragment.querySelectorAll("tbody")]
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
    this.#placeFor(place).append(place)
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
    frame.dataset.wrapped = currentTarget.ariaPressed = String(currentTarget.ariaPressed !== "true")
  })
  copiesOnClick(part(frame, "copy"), () => part(frame, "body").textContent)
}

function waitingCode(frame) {
  const code = frame.querySelector("code")
  code.dataset.waiting = ""
  return code
}

function moreCode(fragment) {
  const more = document.createElement("span")
  more.className = "code__more"
  more.textContent = fragment.querySelector("code").textContent
  return more
}

// Inside which block a node goes on, if it does.
function kindOfPlace(node) {
  if (node.nodeName === "TBODY") return "table"
  return node.className === "code__more" ? "code" : "part"
}

// The text of a code block that still grows, at the end of a view.
function openFenceIn(block, frame) {
  if (!block?.isOpenFence) return null
  const code = frame.querySelector("code") ?? frame
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
