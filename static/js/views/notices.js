import { part, setText, show } from "./dom.js"

/** One line for errors that do not concern a single message. */
export class Notices {
  #root

  constructor({ root }) {
    this.#root = root
    part(root, "dismiss").addEventListener("click", () => this.clear())
  }

  say(text) {
    setText(part(this.#root, "text"), text)
    show(this.#root, true)
  }

  clear() {
    show(this.#root, false)
  }
}
