/** The address bar: reads which conversation it names, and updates it without loading a page. */
export class Navigation {
  #urls

  /** `onArrive(conversationId or null)` is called for Back and Forward. */
  constructor({ urls, onArrive }) {
    this.#urls = urls
    addEventListener("popstate", () => onArrive(this.current()))
  }

  urlOf(conversationId) {
    return conversationId === null ? this.#urls.home : `${this.#urls.conversation}${conversationId}/`
  }

  current() {
    const { pathname } = location
    const isConversation = pathname.startsWith(this.#urls.conversation)
    return isConversation ? pathname.slice(this.#urls.conversation.length).replace(/\/$/, "") : null
  }

  go(conversationId) {
    if (this.current() !== conversationId) history.pushState(null, "", this.urlOf(conversationId))
  }
}
