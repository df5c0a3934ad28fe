const NEW = "new"
const KEY = "key"

/**
 * What is kept of an unsent message, over a reload too: of a conversation for all tabs together, of a new chat for each
 * tab by itself, because each may begin another chat. A tab that is closed leaves its new chat to the next one that is
 * opened.
 */
export class DraftValues {
  #shared
  #tab
  #left
  #clock
  #key

  /** `shared`, `tab` and `left` are `StoredValues`: of the browser, of this tab, and of what closed tabs left. */
  constructor({ shared, tab, left, uuid, clock }) {
    this.#shared = shared
    this.#tab = tab
    this.#left = left
    this.#clock = clock
    this.#takeBack(tab.get(KEY))
    // A tab that was opened as a copy of another one has a copy of its storage as well.
    this.#key = uuid()
    tab.set(KEY, this.#key)
  }

  /** Null if nothing is kept. */
  get({ conversationId }) {
    if (conversationId !== null) return this.#shared.get(conversationId)
    return this.#tab.get(NEW) ?? this.#inherited()
  }

  set({ conversationId }, value) {
    if (conversationId === null) this.#tab.set(NEW, value)
    else this.#shared.set(conversationId, value)
  }

  delete({ conversationId }) {
    if (conversationId === null) this.#tab.delete(NEW)
    else this.#shared.delete(conversationId)
  }

  /** The page is being left, for a moment or for good. */
  leave() {
    const value = this.#tab.get(NEW)
    if (value !== null) this.#left.set(this.#key, { key: this.#key, leftAtMs: this.#clock(), value })
  }

  /** The page is shown again after all. */
  comeBack() {
    this.#takeBack(this.#key)
  }

  #takeBack(key) {
    if (typeof key === "string") this.#left.delete(key)
  }

  #inherited() {
    const newest = this.#left.values().sort((a, b) => b.leftAtMs - a.leftAtMs)[0]
    if (newest === undefined) return null
    this.#left.delete(newest.key)
    this.#tab.set(NEW, newest.value)
    return newest.value
  }
}
