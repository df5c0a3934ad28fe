import { fromTemplate, part, setText, show } from "./dom.js"

/** The list of conversations, newest first. The server renders it once; this keeps it up to date. */
export class Sidebar {
  #list
  #empty
  #conversations = new Map()
  #urlOf
  #onOpen
  #onMenu
  #newChat

  /**
   * `onOpen(conversationId)`, `onMenu(conversation, button)`; `urlOf(conversationId)`; `newChat` gets the focus that was
   * in the last conversation when it is deleted.
   */
  constructor({ list, empty, conversations, urlOf, onOpen, onMenu, newChat }) {
    this.#newChat = newChat
    this.#list = list
    this.#empty = empty
    this.#urlOf = urlOf
    this.#onOpen = onOpen
    this.#onMenu = onMenu
    for (const conversation of conversations) this.#conversations.set(conversation.id, conversation)
    list.addEventListener("click", (event) => this.#clicked(event))
  }

  title(conversationId) {
    return this.#conversations.get(conversationId)?.title ?? ""
  }

  has(conversationId) {
    return this.#conversations.has(conversationId)
  }

  /** Takes a conversation as the server sends it. */
  update(conversation) {
    if (conversation.deleted) return this.#remove(conversation.id)
    const before = this.#conversations.get(conversation.id)
    this.#conversations.set(conversation.id, { ...before, ...conversation })
    const item = this.#item(conversation.id) ?? this.#add(conversation.id)
    setText(part(item, "title"), conversation.title || "New chat")
    if (before?.updated_at !== conversation.updated_at) this.#place(item)
    show(this.#empty, false)
  }

  markCurrent(conversationId) {
    for (const item of this.#list.children) {
      const isCurrent = item.dataset.conversationId === conversationId
      part(item, "link").ariaCurrent = isCurrent ? "page" : null
    }
  }

  #item(conversationId) {
    return [...this.#list.children].find(({ dataset }) => dataset.conversationId === conversationId)
  }

  #add(conversationId) {
    const item = fromTemplate("conversation-item-template")
    item.dataset.conversationId = conversationId
    part(item, "link").href = this.#urlOf(conversationId)
    this.#list.prepend(item)
    return item
  }

  #place(item) {
    const updatedAt = ({ dataset }) => Date.parse(this.#conversations.get(dataset.conversationId)?.updated_at ?? 0)
    const others = [...this.#list.children].filter((other) => other !== item)
    const older = others.find((other) => updatedAt(other) < updatedAt(item)) ?? null
    if (item.nextElementSibling !== older) this.#list.insertBefore(item, older)
  }

  #remove(conversationId) {
    this.#conversations.delete(conversationId)
    const item = this.#item(conversationId)
    const near = item?.nextElementSibling ?? item?.previousElementSibling
    const hadFocus = item?.contains(document.activeElement)
    item?.remove()
    if (hadFocus) (near ? part(near, "link") : this.#newChat).focus()
    show(this.#empty, this.#conversations.size === 0)
  }

  #clicked(event) {
    const item = event.target.closest("[data-conversation-id]")
    if (item === null) return
    const conversation = this.#conversations.get(item.dataset.conversationId)
    const menuButton = event.target.closest("[data-part=menu]")
    if (menuButton !== null) this.#onMenu(conversation, menuButton)
    else if (isPlainClick(event) && event.target.closest("a")) {
      event.preventDefault()
      this.#onOpen(conversation.id)
    }
  }
}

/** A click that does not open another tab or window. */
export const isPlainClick = ({ button, metaKey, ctrlKey, shiftKey, altKey }) =>
  button === 0 && !metaKey && !ctrlKey && !shiftKey && !altKey
