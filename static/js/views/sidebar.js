import { gettext } from "../language/translate.js"
import { fromTemplate, part, setText, show } from "./dom.js"

/** Shows a `ConversationList` under headings, each conversation with its marks. */
export class Sidebar {
  #list
  #parts
  #conversations
  #items = new Map()
  #current = null
  #urlOf
  #onOpen
  #onMenu

  /**
   * `parts`: the elements `list`, `empty`, `more` and `archive`; `conversations` is the `ConversationList`.
   * `onOpen(conversationId)`, `onMenu(conversation, button)`; `urlOf(conversationId)`.
   */
  constructor({ parts, conversations, urlOf, onOpen, onMenu }) {
    this.#parts = parts
    this.#list = parts.list
    this.#conversations = conversations
    this.#urlOf = urlOf
    this.#onOpen = onOpen
    this.#onMenu = onMenu
    for (const item of this.#list.children) this.#items.set(item.dataset.conversationId, item)
    this.#list.addEventListener("click", (event) => this.#clicked(event))
    parts.more.addEventListener("click", () => conversations.want())
    parts.archive.addEventListener("click", () => this.#turn())
    new IntersectionObserver(([{ isIntersecting }]) => isIntersecting && conversations.want()).observe(parts.more)
    this.draw()
  }

  title(conversationId) {
    return this.#conversations.get(conversationId)?.title ?? ""
  }

  has(conversationId) {
    return this.#conversations.get(conversationId) !== null
  }

  /** Takes a conversation as the server sends it. */
  update(conversation) {
    this.#conversations.update(conversation)
    this.draw()
  }

  /** Takes a `conversations.page`. */
  takePage(frame) {
    this.#conversations.take(frame)
    this.draw()
  }

  markCurrent(conversationId) {
    this.#current = conversationId
    this.draw()
  }

  draw() {
    const groups = this.#conversations.groups()
    const wanted = groups.flatMap(({ heading, conversations }) => [
      this.#heading(heading),
      ...conversations.map((conversation) => this.#item(conversation)),
    ])
    // Only what moves is moved, so that what has the focus keeps it.
    for (const element of [...this.#list.children]) if (!wanted.includes(element)) element.remove()
    for (const [place, element] of wanted.entries()) {
      const there = this.#list.children[place]
      if (there !== element) this.#list.insertBefore(element, there ?? null)
    }
    this.#forget(wanted)
    const { empty, more, archive } = this.#parts
    const isArchive = this.#conversations.shelf === "archive"
    show(more, this.#conversations.hasMore)
    setText(
      empty,
      isArchive ? gettext("Nothing is in the archive.") : gettext("Your conversations will be listed here."),
    )
    show(empty, groups.length === 0 && !this.#conversations.hasMore)
    archive.ariaPressed = String(isArchive)
  }

  #heading(text) {
    const known = this.#items.get(`heading ${text}`)
    if (known !== undefined) return known
    const heading = fromTemplate("conversations-heading-template")
    part(heading, "text").textContent = text
    this.#items.set(`heading ${text}`, heading)
    return heading
  }

  #item({ id, title, pinned, running, unread }) {
    const item = this.#items.get(id) ?? this.#newItem(id)
    const isCurrent = id === this.#current
    setText(part(item, "title"), title || gettext("New chat"))
    part(item, "link").ariaCurrent = isCurrent ? "page" : null
    const mark = running ? "running" : unread && !isCurrent ? "unread" : ""
    item.dataset.mark = mark
    setText(
      part(item, "mark"),
      { running: gettext("A reply is being written."), unread: gettext("New reply.") }[mark] ?? "",
    )
    setText(part(item, "pinned"), pinned ? gettext("Pinned") : "")
    show(part(item, "pin"), pinned === true)
    return item
  }

  #newItem(id) {
    const item = fromTemplate("conversation-item-template")
    item.dataset.conversationId = id
    part(item, "link").href = this.#urlOf(id)
    this.#items.set(id, item)
    return item
  }

  #forget(wanted) {
    for (const [key, element] of this.#items) if (!wanted.includes(element)) this.#items.delete(key)
  }

  #turn() {
    this.#conversations.turnTo(this.#conversations.shelf === "archive" ? "list" : "archive")
    this.draw()
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
