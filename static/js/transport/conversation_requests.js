import { gettext, gettext_noop } from "../language/translate.js"

const NO_ANSWER = gettext_noop("The server did not do it. Try again.")

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

  /** A link that everybody may read for so many days: `{ url }`, or `{ message }` for the person. */
  share(conversationId, days) {
    return this.#told(() => this.#sent(`${conversationId}/share/`, { days }))
  }

  /** What the next message would read anew with another assistant: `{ tokens, usd }`, or `{ message }`. */
  readingAnew(conversationId, assistantId) {
    const query = new URLSearchParams({ assistant_id: assistantId })
    return this.#told(() => this.#fetch(`${this.#base}${conversationId}/assistant/?${query}`))
  }

  /** Another assistant from here on: `{}`, or `{ message }`. */
  changeAssistant(conversationId, assistantId) {
    return this.#told(() => this.#sent(`${conversationId}/assistant/`, { assistant_id: assistantId }))
  }

  #sent(path, fields) {
    return this.#fetch(this.#base + path, {
      method: "POST",
      headers: { "X-CSRFToken": this.#csrfToken },
      body: new URLSearchParams(fields),
    })
  }

  /** Returns whether the server did it. */
  async #post(path, fields) {
    try {
      const response = await this.#sent(path, fields)
      return response.ok
    } catch {
      return false
    }
  }

  // What the server says, or why it did not do it.
  async #told(ask) {
    try {
      const response = await ask()
      const told = response.status === 204 ? {} : await response.json()
      return response.ok ? told : { message: told.message ?? gettext(NO_ANSWER) }
    } catch {
      return { message: gettext(NO_ANSWER) }
    }
  }
}
