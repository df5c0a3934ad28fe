import { meansPrint, meansSearch, meansShortcuts, meansStop } from "../state/key_presses.js"

const IN_TEXT = "input, textarea, select, [contenteditable]"
// They have an Escape of their own.
const CLOSES_ITSELF = ".editor, .sidebar, dialog, [popover]"

/** The keys that work wherever the focus is. */
export class Keyboard {
  #parts

  /** `target` has the listener; `isOver()`: whether something lies over the page. `onPrint()`, `onSearch()`, `onShortcuts()`; `onStop()` returns whether there was something. */
  constructor({ target, ...parts }) {
    this.#parts = parts
    target.addEventListener("keydown", (event) => this.#pressed(event))
  }

  #pressed(event) {
    const { isOver, onPrint, onSearch, onShortcuts, onStop } = this.#parts
    if (meansPrint(event)) return this.#do(event, onPrint)
    if (event.defaultPrevented || isOver()) return
    if (meansSearch(event)) this.#do(event, onSearch)
    else if (meansShortcuts(event, { isInText: event.target.closest(IN_TEXT) !== null })) this.#do(event, onShortcuts)
    else if (meansStop(event) && event.target.closest(CLOSES_ITSELF) === null && onStop()) event.preventDefault()
  }

  #do(event, act) {
    event.preventDefault()
    act()
  }
}
