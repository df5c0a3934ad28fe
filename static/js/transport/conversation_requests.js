/** The changes to a conversation that use plain HTTP. Their effect comes back as `conversation.updated`. */
export class ConversationRequests {
  #base
  #csrfToken
  #fetch

  /** `fetch` is the browser's. */
  constructor({ base, csrfToken, fetch }) {
    this.#base = base
    this.#csrfToken = csrfToken
    this.#fetch = fetch
  }

  rename(conversationId, title) {
    return this.#post(`${conversationId}/rename/`, { title })
  }

  delete(conversationId) {
    return this.#post(`${conversationId}/delete/`, {})
  }

  restore(conversationId) {
    return this.#post(`${conversationId}/restore/`, {})
  }

  pin(conversationId, isPinned) {
    return this.#post(`${conversationId}/pin/`, isPinned ? {} : { off: "1" })
  }

  archive(conversationId, isArchived) {
    return this.#post(`${conversationId}/archive/`, isArchived ? {} : { off: "1" })
  }

  /** Returns whether the server did it. */
  async #post(path, fields) {
    try {
      const response = await this.#fetch(this.#base + path, {
        method: "POST",
        headers: { "X-CSRFToken": this.#csrfToken },
        body: new URLSearchParams(fields),
      })
      return response.ok
    } catch {
      return false
    }
  }
}
