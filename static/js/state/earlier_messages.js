import { historyLoad } from "../transport/protocol.js"

/** What there is of a conversation above the oldest message on the page: how much, and whether it is on its way. */
export class EarlierMessages {
  #send
  #onChange
  #conversationId = null
  #oldestId = null
  #count = 0
  #isLoading = false

  /** `send(frame)` says whether it was sent; `onChange({ count, isLoading })`. */
  constructor({ send, onChange }) {
    this.#send = send
    this.#onChange = onChange
  }

  /** The page begins with the message `oldestId`, and `count` more stand before it; without them it is whole. */
  show({ conversationId, oldestId = null, count = 0 }) {
    this.#conversationId = conversationId
    this.#become({ oldestId, count, isLoading: false })
  }

  /** The reader comes near: asks for a part, once. Says whether one is on its way. */
  want() {
    if (this.#count === 0 || this.#isLoading) return this.#isLoading
    const isLoading = this.#send(historyLoad(this.#conversationId, { before: this.#oldestId }))
    this.#become({ isLoading })
    return isLoading
  }

  /** Takes a `history.page`; says whether it is the one that belongs above the page. */
  take({ conversation_id, before, messages, earlier }) {
    const isAwaited = this.#isLoading && conversation_id === this.#conversationId && before === this.#oldestId
    if (!isAwaited) return false
    const oldestId = messages[0]?.id ?? null
    this.#become({ oldestId, count: oldestId === null ? 0 : earlier, isLoading: false })
    return true
  }

  /** What is on its way will not come: the connection is a new one, or the server has refused. */
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
