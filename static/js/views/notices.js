import { part, setText, show } from "./dom.js"

/** One line for errors that do not concern a single message. */
export class Notices {
  #root

  /** `onDismissed()`: the person has closed it, and the button that they pressed is gone. */
  constructor({ root, onDismissed }) {
    this.#root = root
    part(root, "dismiss").addEventListener("click", () => {
      this.clear()
      onDismissed()
    })
  }

  say(text) {
    setText(part(this.#root, "text"), text)
    show(this.#root, true)
  }

  clear() {
    show(this.#root, false)
  }
}
