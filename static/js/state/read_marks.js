import { conversationRead } from "../transport/protocol.js"

/**
 * Tells the server what the person has seen: when the person comes to an unread conversation, and when they leave one
 * in which a reply has ended meanwhile. While they stay, their next message says the same.
 */
export class ReadMarks {
  #send
  #isVisible
  #isUnread
  #here = null
  #hasEnded = false

  /** `isVisible()`: whether the page can be seen; `isUnread(conversationId)`: as the server said last. */
  constructor({ send, isVisible, isUnread }) {
    this.#send = send
    this.#isVisible = isVisible
    this.#isUnread = isUnread
  }

  /** The conversation, or null for a new chat, is shown. */
  shown(conversationId) {
    if (conversationId !== this.#here) this.#leave()
    this.#here = conversationId
    if (conversationId !== null && this.#isVisible() && this.#isUnread(conversationId)) this.#tell()
  }

  /** A reply that is shown has ended. The conversation may have begun as the new chat that was shown. */
  replyEnded(conversationId) {
    this.#here = conversationId
    this.#hasEnded ||= this.#isVisible()
  }

  /** The page was hidden or is seen again. */
  visibilityChanged() {
    if (this.#isVisible()) this.shown(this.#here)
    else this.#leave()
  }

  #leave() {
    if (this.#hasEnded && this.#here !== null) this.#tell()
  }

  #tell() {
    this.#hasEnded = !this.#send(conversationRead(this.#here)) && this.#hasEnded
  }
}
