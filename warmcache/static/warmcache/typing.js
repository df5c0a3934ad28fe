// Tells the server that somebody is writing. Without a build step: import it as a module.

export const TIMINGS = { typing_repeat_ms: 2000, typing_idle_ms: 10_000 }

/**
 * Turns key presses into the few reports that a server wants: one at the first key of a draft, at once;
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

/**
 * Posts to `url` while somebody writes in `field`: `chars`, Django's CSRF token, and what `values()` returns, such as
 * whose draft it is. A beacon: nobody waits for it, and it survives the form's submission. Returns a function that ends it.
 */
export function reportTyping(
  field,
  url,
  { values = () => ({}), timings = TIMINGS, timers = TIMERS, post = beacon } = {},
) {
  const tracker = new TypingTracker({
    timers,
    onStarted: (chars) => post(url, { ...values(), chars, csrfmiddlewaretoken: csrfToken(field) }),
    onStopped: () => {},
  })
  const typed = () => tracker.typed(field.value.length)
  const sent = () => tracker.forget()
  tracker.connected(timings)
  field.addEventListener("input", typed)
  field.form?.addEventListener("submit", sent)
  return () => {
    field.removeEventListener("input", typed)
    field.form?.removeEventListener("submit", sent)
    tracker.forget()
  }
}

const TIMERS = { set: (callback, ms) => setTimeout(callback, ms), clear: (id) => clearTimeout(id) }

/** That of the field's own form, as `{% csrf_token %}` writes it; else the cookie's. */
function csrfToken(field) {
  const written = field.form?.elements.namedItem("csrfmiddlewaretoken")?.value
  return written ?? /(?:^|; )csrftoken=([^;]*)/.exec(document.cookie)?.[1] ?? ""
}

/** In the body, because a beacon has no headers of its own. */
function beacon(url, values) {
  const body = new URLSearchParams(values)
  if (navigator.sendBeacon?.(url, body)) return
  fetch(url, { method: "POST", body, keepalive: true }).catch(() => {}) // the next report, or the request, does without
}
