import { gettext } from "../language/translate.js"
import { part, setText, show } from "./dom.js"

/** The button for earlier messages, for people who do not scroll; it is above the first shown message. */
export class EarlierNotice {
  #root
  #button
  #pane

  /** `onWanted()` is called for a press. If the focus is here when everything is shown, it moves to `pane`. */
  constructor({ root, pane, onWanted }) {
    this.#root = root
    this.#pane = pane
    this.#button = part(root, "load")
    this.#button.addEventListener("click", () => onWanted())
  }

  show({ count, isLoading }) {
    const hadFocus = document.activeElement === this.#button
    setText(this.#button, isLoading ? gettext("Loading earlier messages…") : gettext("Show earlier messages"))
    this.#button.ariaDisabled = String(isLoading)
    show(this.#root, count > 0)
    if (hadFocus && count === 0) this.#pane.focus({ preventScroll: true })
  }
}
