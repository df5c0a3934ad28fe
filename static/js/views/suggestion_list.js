import { show } from "./dom.js"

/** What a person may want to ask first: buttons in an empty chat that fill the message box. */
export class SuggestionList {
  #root
  #assistants

  /** `assistants` are the page's; `onChosen(text)`. */
  constructor({ root, assistants, onChosen }) {
    this.#root = root
    this.#assistants = assistants
    root.addEventListener("click", ({ target }) => {
      const button = target.closest("button")
      if (button !== null) onChosen(button.textContent)
    })
  }

  showFor(assistantId) {
    const { suggestions = [] } = this.#assistants.find(({ id }) => id === assistantId) ?? {}
    this.#root.replaceChildren(...suggestions.map(button))
    show(this.#root, suggestions.length > 0)
  }
}

function button(text) {
  const element = document.createElement("button")
  element.type = "button"
  element.className = "suggestion"
  element.dir = "auto"
  element.textContent = text
  return element
}
