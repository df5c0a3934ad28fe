/**
 * Turns key presses into the few typing frames that the server wants: one at the first key of a draft, at once;
 * then the growing count at the server's pace while the person goes on; and one when they stop.
 */
export class TypingTracker {
  #timers
  #onStarted
  #onStopped
  #timings = null
  #isTyping = false
  #chars = 0
  #toldChars = 0
  #repeatTimer = null
  #idleTimer = null

  /** `onStarted(chars)` and `onStopped()` send; the timings come with `ready`. */
  constructor({ timers, onStarted, onStopped }) {
    this.#timers = timers
    this.#onStarted = onStarted
    this.#onStopped = onStopped
  }

  /** A new connection does not know that a draft is being written: reports it. */
  connected(timings) {
    this.#timings = timings
    if (this.#isTyping) this.#tell()
  }

  /** The person changed the draft, which now has `chars` characters. Not for text that the page itself put there. */
  typed(chars) {
    if (chars === 0) return this.stop()
    this.#chars = chars
    const isFirst = !this.#isTyping
    this.#isTyping = true
    if (this.#timings === null) return
    if (isFirst || this.#repeatTimer === null) this.#tell()
    this.#restartIdle()
  }

  /** The draft was cleared, left or abandoned. */
  stop() {
    if (this.#isTyping && this.#timings !== null) this.#onStopped()
    this.forget()
  }

  /** The draft was sent: the message itself says that typing is over. */
  forget() {
    this.#isTyping = false
    this.#chars = this.#toldChars = 0
    this.#clear()
  }

  #tell() {
    this.#toldChars = this.#chars
    this.#onStarted(this.#chars)
    this.#timers.clear(this.#repeatTimer)
    this.#repeatTimer = this.#timers.set(() => this.#repeat(), this.#timings.typing_repeat_ms)
    if (this.#idleTimer === null) this.#restartIdle()
  }

  #repeat() {
    this.#repeatTimer = null
    if (this.#chars !== this.#toldChars) this.#tell()
  }

  #restartIdle() {
    this.#timers.clear(this.#idleTimer)
    this.#idleTimer = this.#timers.set(() => this.stop(), this.#timings.typing_idle_ms)
  }

  #clear() {
    this.#timers.clear(this.#repeatTimer)
    this.#timers.clear(this.#idleTimer)
    this.#repeatTimer = this.#idleTimer = null
  }
}
