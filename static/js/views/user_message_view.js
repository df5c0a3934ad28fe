import { fromTemplate, part, setText, show } from "./dom.js"
import { MessageEditor } from "./message_editor.js"
import { VersionSwitch } from "./version_switch.js"

/** A person's message: being sent, sent, failed, or being edited. */
export class UserMessageView {
  #editor = null
  #onRevise
  #onRevising
  #versions

  /**
   * `files` are the names of the attached files. `onRetry` and `onEdit` get the `client_message_id` of an unsent
   * message; `onRevising(messageId, text)` the text of a sent one while it is edited, empty if that is given up;
   * `onRevise(messageId, text, pressedAt)` its new text; `onSelect(messageId, step)` another version of it.
   */
  constructor({ clientMessageId, text, files, onRetry, onEdit, onRevising, onRevise, onSelect }) {
    this.clientMessageId = clientMessageId
    this.messageId = null
    this.text = text
    this.element = fromTemplate("user-message-template")
    this.#onRevise = onRevise
    this.#onRevising = onRevising
    this.#versions = new VersionSwitch({ onSelect })
    part(this.element, "foot").prepend(this.#versions.element)
    part(this.element, "text").textContent = text
    show(part(this.element, "text"), text.trim() !== "")
    this.attached(files)
    part(this.element, "retry").addEventListener("click", () => onRetry(clientMessageId))
    part(this.element, "edit").addEventListener("click", () => onEdit(clientMessageId))
    part(this.element, "revise").addEventListener("click", () => this.edit())
  }

  /** The names of its files, from the sender or the server. */
  attached(files) {
    part(this.element, "files").replaceChildren(...files.map(fileNamed))
    show(part(this.element, "files"), files.length > 0)
  }

  get siblings() {
    return this.#versions.siblings
  }

  sent(messageId, siblings) {
    this.messageId = messageId
    this.element.dataset.messageId = messageId
    this.#versions.show(siblings, messageId)
    this.#become("sent")
  }

  /** An outbox entry's `state` and `reason`. */
  waiting({ state, reason }) {
    this.#become(state)
    setText(part(this.element, "status"), state === "failed" ? `Not sent. ${reason}` : "Sending…")
  }

  focusVersion(step) {
    return this.#versions.focus(step)
  }

  /** Opens the editor in place of the message. */
  edit() {
    if (this.#editor !== null) return
    this.#editor = new MessageEditor({
      text: this.text,
      onTyped: (text) => this.#onRevising(this.messageId, text),
      onSend: (text, pressedAt) => {
        this.#leave()
        this.#onRevise(this.messageId, text, pressedAt)
      },
      onLeave: () => {
        this.#leave()
        this.#onRevising(this.messageId, "")
        part(this.element, "revise").focus()
      },
    })
    part(this.element, "bubble").after(this.#editor.element)
    this.#showWhole(false)
    this.#editor.focus()
  }

  #become(state) {
    this.element.dataset.state = state
    show(part(this.element, "delivery"), state !== "sent")
    show(part(this.element, "retry"), state === "failed")
    show(part(this.element, "edit"), state === "failed")
    show(part(this.element, "foot"), state === "sent")
  }

  #leave() {
    this.#editor.element.remove()
    this.#editor = null
    this.#showWhole(true)
  }

  #showWhole(isShown) {
    show(part(this.element, "bubble"), isShown)
    show(part(this.element, "foot"), isShown)
  }
}

function fileNamed(name) {
  const file = fromTemplate("attached-file-template")
  part(file, "name").textContent = name
  return file
}
