import { fromTemplate, part, setText, show } from "./dom.js"

const TITLES = { thinking: ["Thinking…", "Thought"], tool_input: ["Calling a tool…", "Called a tool"] }

/** A block that is not prose: thinking, or a tool's input. Plain text, collapsed. */
export class PlainBlockView {
  #kind
  #name = ""
  #text = document.createTextNode("")
  #waiting = ""
  #isFinished = false

  constructor(kind) {
    this.#kind = kind
    this.element = fromTemplate("plain-block-template")
    this.element.dataset.kind = kind
    part(this.element, "body").append(this.#text)
    if (kind === "tool_input") part(this.element, "body").dir = "ltr"
    this.#showTitle()
  }

  named(name) {
    this.#name = name
    this.#showTitle()
  }

  append(text) {
    this.#waiting += text
  }

  draw() {
    this.#text.appendData(this.#waiting)
    this.#waiting = ""
    show(this.element, this.#text.length > 0 || this.#kind === "tool_input")
  }

  finish() {
    this.#isFinished = true
    this.draw()
    this.#showTitle()
  }

  #showTitle() {
    const [running, done] = TITLES[this.#kind] ?? [this.#kind, this.#kind]
    const title = this.#isFinished ? done : running
    setText(part(this.element, "title"), this.#name ? `${title} (${this.#name})` : title)
  }
}
