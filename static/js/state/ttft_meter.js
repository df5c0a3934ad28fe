/**
 * Measures how long a person waited: from the press that sent the message to the first words on the screen. A press is
 * identified first by the `client_message_id`, then by the id of its message, which is the reply's parent.
 */
export class TtftMeter {
  #afterPaint
  #onMeasured
  #presses = new Map()
  #waiting = new Map()

  /** `afterPaint(callback)` calls back with the time of the paint; `onMeasured(replyId, ttftMs)`. */
  constructor({ afterPaint, onMeasured }) {
    this.#afterPaint = afterPaint
    this.#onMeasured = onMeasured
  }

  pressed(id, atMs) {
    this.#presses.set(id, atMs)
  }

  becameMessage(clientMessageId, messageId) {
    if (!this.#presses.has(clientMessageId)) return
    this.#presses.set(messageId, this.#presses.get(clientMessageId))
    this.#presses.delete(clientMessageId)
  }

  /** The message waits for something other than its reply: the time would mean nothing. */
  forget(id) {
    this.#presses.delete(id)
  }

  replyStarted(replyId, parentId) {
    if (!this.#presses.has(parentId)) return
    this.#waiting.set(replyId, this.#presses.get(parentId))
    this.#presses.delete(parentId)
  }

  /** The first words are in the page, though not yet on the screen. Later calls for the same reply do nothing. */
  firstWords(replyId) {
    if (!this.#waiting.has(replyId)) return
    const pressedAt = this.#waiting.get(replyId)
    this.#waiting.delete(replyId)
    this.#afterPaint((paintedAt) => this.#onMeasured(replyId, paintedAt - pressedAt))
  }
}
