import { part, setText, show } from "./dom.js"

/** What was just done, with a button that undoes it for a while. */
export class UndoNotice {
  #root
  #timers
  #shownMs
  #undo = null
  #timer = null

  constructor({ root, timers, shownMs }) {
    this.#root = root
    this.#timers = timers
    this.#shownMs = shownMs
    part(root, "undo").addEventListener("click", () => this.#pressed())
    part(root, "dismiss").addEventListener("click", () => this.#hide())
  }

  /** The focus goes to the button: what had it is gone. */
  offer(text, undo) {
    this.#undo = undo
    setText(part(this.#root, "text"), text)
    show(this.#root, true)
    part(this.#root, "undo").focus()
    this.#timers.clear(this.#timer)
    this.#timer = this.#timers.set(() => this.#hide(), this.#shownMs)
  }

  #pressed() {
    this.#undo?.()
    this.#hide()
  }

  #hide() {
    this.#timers.clear(this.#timer)
    this.#undo = null
    show(this.#root, false)
  }
}
