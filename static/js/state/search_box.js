import { searchAsk } from "../transport/protocol.js"

// A pause in typing: shorter than a thought, longer than the time between two keys.
const PAUSE_MS = 200

/** What the person looks for, and what was found so far. */
export class SearchBox {
  #send
  #timers
  #onChange
  #maxChars
  #timer = null
  #query = ""
  #found = null
  #isLoading = false

  /** `onChange({ query, found, isLoading })`: `found` is null before the first answer, else `conversations`, `hits`, `next`. */
  constructor({ send, timers, maxChars, onChange }) {
    this.#send = send
    this.#timers = timers
    this.#maxChars = maxChars
    this.#onChange = onChange
  }

  /** The field's text has changed. */
  typed(text) {
    const query = text.trim().slice(0, this.#maxChars)
    if (query === this.#query) return
    this.#timers.clear(this.#timer)
    this.#query = query
    if (query === "") this.#become({ found: null, isLoading: false })
    else this.#timer = this.#timers.set(() => this.#ask(null), PAUSE_MS)
    if (query !== "") this.#become({ isLoading: true })
  }

  /** The person pressed Enter, or a connection is back. */
  now() {
    if (this.#query === "" || !this.#isLoading) return
    this.#timers.clear(this.#timer)
    this.#ask(null)
  }

  more() {
    if (this.#isLoading || (this.#found?.next ?? null) === null) return
    this.#become({ isLoading: this.#ask(this.#found.next) })
  }

  /** Takes `search.results`; an answer to what was asked before is left out. */
  take({ query, before, conversations, hits, next }) {
    if (query !== this.#query) return
    if (before === null) this.#become({ found: { conversations, hits, next }, isLoading: false })
    else if (this.#found?.next === before) {
      this.#become({ found: { ...this.#found, hits: [...this.#found.hits, ...hits], next }, isLoading: false })
    }
  }

  #ask(before) {
    return this.#send(searchAsk(this.#query, before))
  }

  #become({ found = this.#found, isLoading }) {
    this.#found = found
    this.#isLoading = isLoading
    this.#onChange({ query: this.#query, found, isLoading })
  }
}
