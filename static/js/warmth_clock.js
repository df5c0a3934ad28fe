import { nextChangeMs } from "./warmth_words.js"

const COLD = Object.freeze({ state: "cold", reason: null, prefixTokens: 0, leftMs: null })

/** What we believe of the current prefix, with the time that is left of it; turns cold by itself at the end. */
export class WarmthClock {
  #clock
  #timers
  #onChange
  #warmth = COLD
  #expiresAtMs = null
  #timer = null

  /** `onChange({ state, reason, prefixTokens, leftMs })`; `clock` is wall time, as `estimated_expires_at` is. */
  constructor({ clock, timers, onChange }) {
    this.#clock = clock
    this.#timers = timers
    this.#onChange = onChange
  }

  reset() {
    this.#become(COLD, null)
  }

  /** Takes a `warmth` frame. */
  take({ state, reason, prefix_tokens, estimated_expires_at }) {
    const expiresAtMs = estimated_expires_at === null ? null : Date.parse(estimated_expires_at)
    // Where our clock is ahead of the server's, its word "warm" counts for more than our arithmetic.
    const isPast = expiresAtMs !== null && expiresAtMs <= this.#clock()
    this.#become({ state, reason, prefixTokens: prefix_tokens }, isPast ? null : expiresAtMs)
  }

  #become(warmth, expiresAtMs) {
    this.#timers.clear(this.#timer)
    this.#warmth = warmth
    this.#expiresAtMs = expiresAtMs
    this.#tell()
  }

  #tell() {
    const { state } = this.#warmth
    const isTimed = this.#expiresAtMs !== null && (state === "warm" || state === "expiring")
    const leftMs = isTimed ? this.#expiresAtMs - this.#clock() : null
    if (isTimed && leftMs <= 0) return this.#become({ ...COLD, prefixTokens: this.#warmth.prefixTokens }, null)
    this.#onChange({ ...this.#warmth, leftMs })
    if (isTimed) this.#timer = this.#timers.set(() => this.#tell(), nextChangeMs(leftMs))
  }
}
