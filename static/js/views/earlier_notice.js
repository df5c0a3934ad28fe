import { part, setText, show } from "./dom.js"

/** The way to earlier messages for those who do not scroll; it stands above the first message that is shown. */
export class EarlierNotice {
  #root
  #button
  #pane

  /** `onWanted()` for a press. Whoever has the focus here when all is shown goes on in `pane`. */
  constructor({ root, pane, onWanted }) {
    this.#root = root
    this.#pane = pane
    this.#button = part(root, "load")
    this.#button.addEventListener("click", () => onWanted())
  }

  show({ count, isLoading }) {
    const hadFocus = document.activeElement === this.#button
    setText(this.#button, isLoading ? "Loading earlier messages…" : "Show earlier messages")
    this.#button.ariaDisabled = String(isLoading)
    show(this.#root, count > 0)
    if (hadFocus && count === 0) this.#pane.focus({ preventScroll: true })
  }
}
