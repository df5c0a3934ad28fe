/** The sidebar on a narrow page: off screen until it is opened, then the only part that can have the focus. */
export class Drawer {
  #panel
  #rest
  #button
  #isNarrow

  /** `rest` is inert while the drawer is open; `isNarrow` is a `MediaQueryList`. */
  constructor({ panel, rest, button, backdrop, isNarrow }) {
    this.#panel = panel
    this.#rest = rest
    this.#button = button
    this.#isNarrow = isNarrow
    button.addEventListener("click", () => this.open())
    backdrop.addEventListener("click", () => this.close())
    panel.addEventListener("keydown", (event) => event.key === "Escape" && this.close())
    isNarrow.addEventListener("change", () => this.#set(false))
  }

  open() {
    this.#set(true)
  }

  close() {
    if (this.#panel.dataset.open !== "true") return
    this.#set(false)
    this.#button.focus()
  }

  #set(isOpen) {
    const isModal = isOpen && this.#isNarrow.matches
    this.#panel.dataset.open = String(isModal)
    this.#button.ariaExpanded = String(isModal)
    this.#rest.inert = isModal
    if (isModal) this.#panel.querySelector("a, button").focus()
  }
}
