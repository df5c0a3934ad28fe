import { historyLoad } from "../transport/protocol.js"

/** The messages of a conversation before the oldest one on the page: how many, and whether they are loading. */
export class EarlierMessages {
  #send
  #onChange
  #conversationId = null
  #oldestId = null
  #count = 0
  #isLoading = false

  /** `send(frame)` returns whether it was sent; `onChange({ count, isLoading })`. */
  constructor({ send, onChange }) {
    this.#send = send
    this.#onChange = onChange
  }

  /** The page begins with the message `oldestId`, with `count` more before it; without arguments it is complete. */
  show({ conversationId, oldestId = null, count = 0 }) {
    this.#conversationId = conversationId
    this.#become({ oldestId, count, isLoading: false })
  }

  /** The reader is near the top: asks for a part, once. Returns whether one is loading. */
  want() {
    if (this.#count === 0 || this.#isLoading) return this.#isLoading
    const isLoading = this.#send(historyLoad(this.#conversationId, { before: this.#oldestId }))
    this.#become({ isLoading })
    return isLoading
  }

  /** Takes a `history.page`; returns whether it belongs above the page. */
  take({ conversation_id, before, messages, earlier }) {
    const isAwaited = this.#isLoading && conversation_id === this.#conversationId && before === this.#oldestId
    if (!isAwaited) return false
    const oldestId = messages[0]?.id ?? null
    this.#become({ oldestId, count: oldestId === null ? 0 : earlier, isLoading: false })
    return true
  }

  /** The part that is loading will not come: the connection is a new one, or the server has refused. */
  lost() {
    this.#become({ isLoading: false })
  }

  #become({ oldestId = this.#oldestId, count = this.#count, isLoading }) {
    this.#oldestId = oldestId
    this.#count = count
    this.#isLoading = isLoading
    this.#onChange({ count, isLoading })
  }
}
