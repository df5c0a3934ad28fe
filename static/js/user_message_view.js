import { fromTemplate, part, setText, show } from "./dom.js"

/** A person's message: on its way, sent, or not sent. */
export class UserMessageView {
  /** `onRetry` and `onEdit` get the `client_message_id`. */
  constructor({ clientMessageId, text, onRetry, onEdit }) {
    this.clientMessageId = clientMessageId
    this.element = fromTemplate("user-message-template")
    part(this.element, "text").textContent = text
    part(this.element, "retry").addEventListener("click", () => onRetry(clientMessageId))
    part(this.element, "edit").addEventListener("click", () => onEdit(clientMessageId))
  }

  sent(messageId) {
    this.messageId = messageId
    this.element.dataset.messageId = messageId
    this.#become("sent")
  }

  /** An outbox entry's `state` and `reason`. */
  waiting({ state, reason }) {
    this.#become(state)
    setText(part(this.element, "status"), state === "failed" ? `Not sent. ${reason}` : "Sending…")
  }

  #become(state) {
    this.element.dataset.state = state
    show(part(this.element, "delivery"), state !== "sent")
    show(part(this.element, "retry"), state === "failed")
    show(part(this.element, "edit"), state === "failed")
  }
}
