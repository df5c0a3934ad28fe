import { nextChangeMs } from "../text/warmth_words.js"

const COLD = Object.freeze({ state: "cold", reason: null, prefixTokens: 0, expiresAtMs: null })

/**
 * What we believe about each prefix, and the remaining time of the shown one; it turns cold by itself when that ends.
 * The server sends only changes, so its frames are remembered until the next connection.
 */
export class WarmthClock {
  #clock
  #timers
  #onChange
  #maxRemembered
  #known = new Map()
  #shown = COLD
  #timer = null

  /**
   * `onChange({ state, reason, prefixTokens, leftMs })`; `clock` is wall time, as `estimated_expires_at` is. No more
   * than `maxRemembered` are kept, so that nothing grows with the hours a tab is open.
   */
  constructor({ clock, timers, maxRemembered, onChange }) {
    this.#maxRemembered = maxRemembered
    this.#clock = clock
    this.#timers = timers
    this.#onChange = onChange
  }

  /** Takes a `warmth` frame; what is shown changes with `show`. */
  take({ conversation_id, assistant_id, state, reason, prefix_tokens, estimated_expires_at }) {
    const expiresAtMs = estimated_expires_at === null ? null : Date.parse(estimated_expires_at)
    // If our clock is ahead of the server's, its state "warm" counts more than our own calculation.
    const isPast = expiresAtMs !== null && expiresAtMs <= this.#clock()
    const warmth = { state, reason, prefixTokens: prefix_tokens, expiresAtMs: isPast ? null : expiresAtMs }
    const key = keyOf({ conversationId: conversation_id ?? null, assistantId: assistant_id })
    this.#known.delete(key)
    this.#known.set(key, warmth)
    if (this.#known.size > this.#maxRemembered) this.#known.delete(this.#known.keys().next().value)
  }

  /** Shows the warmth of `scope` from now on. */
  show(scope) {
    this.#shown = this.#known.get(keyOf(scope)) ?? COLD
    this.#tell()
  }

  /** A new connection: the server will send everything again. */
  forget() {
    this.#known.clear()
  }

  #tell() {
    this.#timers.clear(this.#timer)
    const { state, reason, prefixTokens, expiresAtMs } = this.#shown
    const isTimed = expiresAtMs !== null && (state === "warm" || state === "expiring")
    const leftMs = isTimed ? expiresAtMs - this.#clock() : null
    if (isTimed && leftMs <= 0) {
      this.#shown = { ...COLD, prefixTokens }
      return this.#tell()
    }
    this.#onChange({ state, reason, prefixTokens, leftMs })
    if (isTimed) this.#timer = this.#timers.set(() => this.#tell(), nextChangeMs(leftMs))
  }
}

const keyOf = ({ conversationId, assistantId }) => conversationId ?? `assistant ${assistantId}`
