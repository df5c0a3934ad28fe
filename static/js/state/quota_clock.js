import { quotaText, refusalText } from "../text/quota_words.js"

/** What is left of a person's limits, until the server says otherwise or the count begins again. */
export class QuotaClock {
  #clock
  #timers
  #onChange
  #limits = []
  #timer = null

  /** `onChange(text)`: empty while there is enough of everything; `clock` is wall time. */
  constructor({ clock, timers, onChange }) {
    this.#clock = clock
    this.#timers = timers
    this.#onChange = onChange
  }

  /** The `QuotaView`s of which little is left; the others have enough. */
  take(limits) {
    this.#limits = limits
    this.#tell()
  }

  /** The words for a refusal. A limit that was met is shown until its count begins again. */
  refusal(message, quota) {
    if (quota?.scope === "person" && quota.until !== null) {
      this.take([...this.#limits.filter(({ measure }) => measure !== quota.measure), quota])
    }
    return refusalText(message, quota, this.#clock())
  }

  #tell() {
    if (this.#timer !== null) this.#timers.clear(this.#timer)
    const now = this.#clock()
    this.#limits = this.#limits.filter(({ until }) => Date.parse(until) > now)
    this.#onChange(this.#limits.map(quotaText).join(" · "))
    const ends = this.#limits.map(({ until }) => Date.parse(until) - now)
    // Timers count in 32 bits: a later end is looked at again in a day.
    const inMs = Math.min(...ends, 24 * 3600_000)
    this.#timer = ends.length > 0 ? this.#timers.set(() => this.#tell(), inMs) : null
  }
}
