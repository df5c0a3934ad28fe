import { queuedText, queueStates } from "../text/queue_words.js"
import { fromTemplate, part, setText, show } from "./dom.js"

/** Messages that wait for their turn, under the running reply and in the order in which they will be sent. */
export class QueueView {
  #root
  #actions
  #queue = []

  /** `onSend(messageId, pressedAt)`, `onEdit(messageId)`, `onRemove(messageId)`. */
  constructor({ root, onSend, onEdit, onRemove }) {
    this.#root = root
    this.#actions = { send: onSend, edit: onEdit, remove: onRemove }
  }

  get isEmpty() {
    return this.#queue.length === 0
  }

  /** The `queue` of a conversation. */
  show(queue) {
    if (JSON.stringify(queue) === JSON.stringify(this.#queue)) return
    this.#queue = queue
    const states = queueStates(queue)
    part(this.#root, "list").replaceChildren(...queue.map((queued, place) => this.#item(queued, states[place])))
    show(this.#root, queue.length > 0)
  }

  /** Adds one, before the server has sent the whole queue. */
  add(queued) {
    if (!this.#queue.some(({ message_id }) => message_id === queued.message_id)) this.show([...this.#queue, queued])
  }

  /** The message was sent or withdrawn. */
  drop(messageId) {
    this.show(this.#queue.filter(({ message_id }) => message_id !== messageId))
  }

  #item(queued, state) {
    const item = fromTemplate("queued-template")
    item.dataset.messageId = queued.message_id
    item.dataset.held = String(queued.is_held)
    setText(part(item, "text"), queuedText(queued))
    setText(part(item, "state"), state)
    show(part(item, "send"), queued.is_held)
    for (const [name, act] of Object.entries(this.#actions)) {
      part(item, name).addEventListener("click", (event) => act(queued.message_id, event.timeStamp))
    }
    return item
  }
}
