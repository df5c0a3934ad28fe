/** Waits until all messages of a conversation are on the page, before it is printed. */
export class WholeConversation {
  #want
  #later
  #onWhole
  #isWanted = false

  /** `want()` asks for an earlier part and returns whether one is coming; `later(callback)` runs it after this one. */
  constructor({ want, later, onWhole }) {
    this.#want = want
    this.#later = later
    this.#onWhole = onWhole
  }

  /** Calls `onWhole()` as soon as there is nothing before the page; at once if that is so, or cannot be changed. */
  fetch() {
    this.#isWanted = true
    if (!this.#want()) this.#end()
  }

  /** Takes what `EarlierMessages` tells. */
  changed({ count, isLoading }) {
    if (!this.#isWanted || isLoading) return
    // The part that has come is not on the page yet.
    if (count === 0) this.#end()
    else this.#later(() => this.#isWanted && !this.#want() && this.#end())
  }

  #end() {
    this.#isWanted = false
    this.#later(() => this.#onWhole())
  }
}
