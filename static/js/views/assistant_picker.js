import { part, show } from "./dom.js"

/** Chooses the assistant of a new chat. The choices are in the page already. */
export class AssistantPicker {
  #root

  constructor({ root, onChosen }) {
    this.#root = root
    part(root, "choices").addEventListener("change", ({ target }) => onChosen(Number(target.value)))
  }

  show(isShown) {
    show(this.#root, isShown)
  }

  choose(assistantId) {
    for (const radio of this.#root.querySelectorAll("input[type=radio]")) {
      radio.checked = Number(radio.value) === assistantId
    }
  }
}
