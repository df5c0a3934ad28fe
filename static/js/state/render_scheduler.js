// Rendering may take at most this share of the main thread: typing and scrolling come first.
const MAX_SHARE = 0.25

/** Draws at most once per animation frame, and less often if drawing is slow. */
export class RenderScheduler {
  #requestFrame
  #now
  #dirty = new Set()
  #isRequested = false
  #notBefore = 0

  constructor({ requestFrame, now }) {
    this.#requestFrame = requestFrame
    this.#now = now
  }

  /** Draws `view` (anything with `draw()`) soon. */
  request(view) {
    this.#dirty.add(view)
    this.#ask()
  }

  /** Draws `view` now: the first words of a reply, and its end. */
  flush(view) {
    this.#dirty.delete(view)
    view.draw()
  }

  #ask() {
    if (this.#isRequested) return
    this.#isRequested = true
    this.#requestFrame(() => this.#tick())
  }

  #tick() {
    this.#isRequested = false
    const startedAt = this.#now()
    if (startedAt < this.#notBefore) return this.#ask()
    const views = [...this.#dirty]
    this.#dirty.clear()
    for (const view of views) view.draw()
    const tookMs = this.#now() - startedAt
    this.#notBefore = startedAt + tookMs / MAX_SHARE
  }
}
