import { blockTitle, inputText } from "../text/block_words.js"
import { fromTemplate, part, setText, show } from "./dom.js"

/** A block that is not prose: thinking, or a tool's input and result. Plain text, folded. */
export class PlainBlockView {
  #kind
  #clock
  #name = ""
  #text = document.createTextNode("")
  #waiting = ""
  #startedAt = null
  #tookMs = null
  #isFinished = false
  #consent = null

  /** `clock()` is in milliseconds. */
  constructor(kind, { clock }) {
    this.#kind = kind
    this.#clock = clock
    this.element = fromTemplate("plain-block-template")
    this.element.dataset.kind = kind
    part(this.element, "body").append(this.#text)
    if (kind === "tool_input") part(this.element, "body").dir = "ltr"
    this.#showTitle()
  }

  /** Whether the person lets it be called: `asked`, `declined`, or null for allowed. */
  consented(consent) {
    this.#consent = consent
    this.#showTitle()
  }

  get text() {
    return this.#text.data + this.#waiting
  }

  named(name) {
    this.#name = name
    this.#showTitle()
  }

  /** It begins just now, so that its time can be told. */
  began() {
    this.#startedAt = this.#clock()
  }

  append(text) {
    this.#waiting += text
  }

  draw() {
    this.#text.appendData(this.#waiting)
    this.#waiting = ""
    show(this.element, this.#text.length > 0 || this.#kind === "tool_input")
  }

  /** What the tool answered. */
  answered(text) {
    setText(part(this.element, "result-text"), text)
    show(part(this.element, "result"), text !== "")
  }

  finish() {
    if (this.#isFinished) return
    this.#isFinished = true
    if (this.#startedAt !== null) this.#tookMs = this.#clock() - this.#startedAt
    this.draw()
    if (this.#kind === "tool_input") this.#text.data = inputText(this.#text.data)
    this.#showTitle()
  }

  #showTitle() {
    const told = {
      kind: this.#kind,
      name: this.#name,
      isFinished: this.#isFinished,
      tookMs: this.#tookMs,
      consent: this.#consent,
    }
    setText(part(this.element, "title"), blockTitle(told))
  }
}
