import { isComposing, meansSend } from "../state/key_presses.js"
import { charsTooMany, tooManyText } from "../text/text_limit.js"
import { fileList } from "./attached_files.js"
import { fromTemplate, part, setText } from "./dom.js"

/** The editor for a sent message. It takes the message's place until the edit is sent or cancelled. */
export class MessageEditor {
  #input
  #onSend
  #onLeave
  #isTouch

  #onTyped
  #limits

  /**
   * `files` are those of the message, which every version has. `onSend(text, pressedAt)`; `onTyped(text)`;
   * `onLeave()` when the person changes their mind; `isTouch()` and `limits` as for the composer.
   */
  constructor({ text, files, onSend, onTyped, onLeave, isTouch, limits }) {
    this.element = fromTemplate("message-editor-template")
    this.#input = part(this.element, "input")
    this.#onSend = onSend
    this.#onTyped = onTyped
    this.#limits = limits
    this.#onLeave = onLeave
    this.#isTouch = isTouch
    this.#input.enterKeyHint = isTouch() ? "enter" : "send"
    this.#input.value = text
    fileList(part(this.element, "files"), files)
    this.#input.addEventListener("input", () => {
      this.#onTyped(this.#input.value)
      this.#show()
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
    if (isComposing(event)) return
    if (event.key === "Escape") this.#onLeave()
    if (!meansSend(event, { isTouch: this.#isTouch() })) return
    event.preventDefault()
    this.#trySend(event.timeStamp)
  }

  #trySend(pressedAt) {
    if (this.#maySend()) this.#onSend(this.#input.value, pressedAt)
  }

  #maySend() {
    return this.#input.value.trim() !== "" && this.#charsOver() <= 0
  }

  #charsOver() {
    return charsTooMany(this.#input.value, this.#limits)
  }

  #show() {
    const over = this.#charsOver()
    part(this.element, "send").disabled = !this.#maySend()
    this.#input.ariaInvalid = String(over > 0)
    setText(part(this.element, "limit"), tooManyText(over))
  }
}
