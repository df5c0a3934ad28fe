/**
 * Tells the server how far this page has read, so that the server may go on sending. Sends at a frame if an ack is due,
 * and by timer for the rest: a hidden tab slows down timers, but not frames.
 */
export class AckPacer {
  #clock
  #timers
  #onAck
  #intervalMs = 0
  #windowBytes = Infinity
  #pending = new Map()

  /** `onAck(replyId, seq)` sends. */
  constructor({ clock, timers, onAck }) {
    this.#clock = clock
    this.#timers = timers
    this.#onAck = onAck
  }

  /** From `ready`. Unacknowledged frames ended with the former connection. */
  connected({ timings, limits }) {
    this.#intervalMs = timings.ack_interval_ms
    this.#windowBytes = limits.ack_bytes
    for (const { timer } of this.#pending.values()) this.#timers.clear(timer)
    this.#pending.clear()
  }

  read(frame, bytes) {
    const pending = this.#pendingFor(frame.reply_id)
    pending.seq = frame.seq
    pending.bytes += bytes
    const isDue = this.#clock() - pending.since >= this.#intervalMs
    if (isDue || pending.bytes >= this.#windowBytes || frame.type === "reply.finished") {
      this.#ack(frame.reply_id)
    } else if (pending.timer === null) {
      pending.timer = this.#timers.set(() => this.#ack(frame.reply_id), this.#intervalMs)
    }
    if (frame.type === "reply.finished") this.#pending.delete(frame.reply_id)
  }

  #pendingFor(replyId) {
    if (!this.#pending.has(replyId)) {
      this.#pending.set(replyId, { seq: 0, bytes: 0, since: this.#clock(), timer: null })
    }
    return this.#pending.get(replyId)
  }

  #ack(replyId) {
    const pending = this.#pending.get(replyId)
    this.#timers.clear(pending.timer)
    this.#onAck(replyId, pending.seq)
    Object.assign(pending, { bytes: 0, since: this.#clock(), timer: null })
  }
}
