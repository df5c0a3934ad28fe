import { fromTemplate, part } from "./dom.js"

/** The editor for a sent message. It takes the message's place until the edit is sent or cancelled. */
export class MessageEditor {
  #input
  #onSend
  #onLeave

  /** `onTyped(text)` at each change; `onSend(text, pressedAt)`; `onLeave()` when the person changes their mind. */
  constructor({ text, onTyped, onSend, onLeave }) {
    this.element = fromTemplate("message-editor-template")
    this.#input = part(this.element, "input")
    this.#onSend = onSend
    this.#onLeave = onLeave
    this.#input.value = text
    this.#input.addEventListener("input", () => {
      this.#show()
      onTyped(this.#input.value)
    })
    this.#input.addEventListener("keydown", (event) => this.#keyPressed(event))
    this.element.addEventListener("submit", (event) => {
      event.preventDefault()
      this.#trySend(event.timeStamp)
    })
    part(this.element, "cancel").addEventListener("click", () => onLeave())
    this.#show()
  }

  /** At the end of the text, as if the person had just written it. */
  focus() {
    const { length } = this.#input.value
    this.#input.focus()
    this.#input.setSelectionRange(length, length)
  }

  #keyPressed(event) {
    if (event.isComposing) return
    if (event.key === "Escape") this.#onLeave()
    if (event.key !== "Enter" || event.shiftKey) return
    event.preventDefault()
    this.#trySend(event.timeStamp)
  }

  #trySend(pressedAt) {
    if (this.#input.value.trim() !== "") this.#onSend(this.#input.value, pressedAt)
  }

  #show() {
    part(this.element, "send").disabled = this.#input.value.trim() === ""
  }
}
