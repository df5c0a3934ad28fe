import { part, show } from "./dom.js"

/** Chooses the assistant of a new chat. The choices are in the page already. */
export class AssistantPicker {
  #root
  #suggestions

  /** `suggestions` is a `SuggestionList`. */
  constructor({ root, suggestions, onChosen }) {
    this.#root = root
    this.#suggestions = suggestions
    part(root, "choices").addEventListener("change", ({ target }) => {
      suggestions.showFor(Number(target.value))
      onChosen(Number(target.value))
    })
  }

  show(isShown) {
    show(this.#root, isShown)
  }

  choose(assistantId) {
    this.#suggestions.showFor(assistantId)
    for (const radio of this.#root.querySelectorAll("input[type=radio]")) {
      radio.checked = Number(radio.value) === assistantId
    }
  }
}
