import { gettext } from "../language/translate.js"
import { isLong } from "../text/text_limit.js"
import { fileList } from "./attached_files.js"
import { fromTemplate, part, setText, show } from "./dom.js"
import { MessageEditor } from "./message_editor.js"
import { VersionSwitch } from "./version_switch.js"

/** A person's message: being sent, sent, failed, or being edited. */
export class UserMessageView {
  #editor = null
  #onRevise
  #onRevising
  #files = []
  #drafts
  #ofEditor
  #versions

  /**
   * `files` are as for `fileList`. `onRetry` and `onEdit` get the `client_message_id` of an unsent
   * message; `onRevising(messageId, text)` the text of a sent one while it is edited, empty if that is given up;
   * `onRevise(messageId, text, pressedAt)` its new text; `onSelect(messageId, step)` another version of it. `drafts`
   * keep another version that is being written; `isTouch()` and `limits` as for the composer.
   */
  constructor({ clientMessageId, text, files, onRetry, onEdit, onRevising, onRevise, onSelect, drafts, ...ofEditor }) {
    this.clientMessageId = clientMessageId
    this.messageId = null
    this.text = text
    this.element = fromTemplate("user-message-template")
    this.#onRevise = onRevise
    this.#onRevising = onRevising
    this.#drafts = drafts
    this.#ofEditor = ofEditor
    this.#versions = new VersionSwitch({ onSelect })
    part(this.element, "foot").prepend(this.#versions.element)
    part(this.element, "text").textContent = text
    show(part(this.element, "text"), text.trim() !== "")
    show(part(this.element, "more"), isLong(text))
    this.#fold(isLong(text))
    part(this.element, "more").addEventListener("click", ({ currentTarget }) => {
      this.#fold(currentTarget.ariaExpanded === "true")
    })
    this.attached(files)
    part(this.element, "retry").addEventListener("click", () => onRetry(clientMessageId))
    part(this.element, "edit").addEventListener("click", () => onEdit(clientMessageId))
    part(this.element, "revise").addEventListener("click", () => this.edit())
  }

  /** Its files, from the sender or the server. */
  attached(files) {
    this.#files = files
    fileList(part(this.element, "files"), files)
  }

  get siblings() {
    return this.#versions.siblings
  }

  sent(messageId, siblings) {
    this.messageId = messageId
    this.element.dataset.messageId = messageId
    this.#versions.show(siblings, messageId)
    this.#become("sent")
    this.#goOnWithEdit()
  }

  /** An outbox entry's `state` and `reason`. */
  waiting({ state, reason }) {
    this.#become(state)
    setText(
      part(this.element, "status"),
      state === "failed" ? gettext("Not sent. {reason}", { reason }) : gettext("Sending…"),
    )
  }

  focusVersion(step) {
    return this.#versions.focus(step)
  }

  /** Opens the editor in place of the message, and goes there. */
  edit() {
    if (this.#editor === null) this.#openEditor(this.text)
    this.#editor.focus()
  }

  #openEditor(text) {
    this.#editor = new MessageEditor({
      ...this.#ofEditor,
      text,
      files: this.#files,
      onTyped: (typed) => {
        this.#drafts.saveEdit(this.messageId, typed)
        this.#onRevising(this.messageId, typed)
      },
      onSend: (typed, pressedAt) => {
        this.#leave()
        this.#onRevise(this.messageId, typed, pressedAt)
      },
      onLeave: () => {
        this.#leave()
        this.#onRevising(this.messageId, "")
        part(this.element, "revise").focus()
      },
    })
    part(this.element, "bubble").after(this.#editor.element)
    this.#showWhole(false)
  }

  // It was begun before another conversation was opened, or before a reload.
  #goOnWithEdit() {
    const begun = this.#editor === null ? this.#drafts.loadEdit(this.messageId) : null
    if (begun !== null) this.#openEditor(begun)
  }

  #fold(isFolded) {
    const more = part(this.element, "more")
    part(this.element, "text").dataset.folded = String(isFolded)
    more.ariaExpanded = String(!isFolded)
    setText(more, isFolded ? gettext("Show all") : gettext("Show less"))
  }

  #become(state) {
    this.element.dataset.state = state
    show(part(this.element, "delivery"), state !== "sent")
    show(part(this.element, "retry"), state === "failed")
    show(part(this.element, "edit"), state === "failed")
    show(part(this.element, "foot"), state === "sent" && this.#editor === null)
  }

  #leave() {
    this.#drafts.endEdit(this.messageId)
    this.#editor.element.remove()
    this.#editor = null
    this.#showWhole(true)
  }

  #showWhole(isShown) {
    show(part(this.element, "bubble"), isShown)
    show(part(this.element, "foot"), isShown)
  }
}
