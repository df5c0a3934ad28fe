import { gettext } from "../language/translate.js"
import { shortTime } from "../text/time_groups.js"
import { fromTemplate, part, setText, show } from "./dom.js"
import { isPlainClick } from "./sidebar.js"

/** The search field above the list, and what it has found in the list's place. */
export class SearchPanel {
  #parts
  #field
  #clock
  #urlOf
  #onOpen
  #onHit
  #shown = []

  /**
   * `parts`: the elements `form`, `results`, `list` (hidden while results are shown), `status` and `more`.
   * `onTyped(text)`, `onEnter()`, `onMore()`, `onOpen(conversationId)`, `onHit(hit)`.
   */
  constructor({ parts, clock, urlOf, onTyped, onEnter, onMore, onOpen, onHit }) {
    this.#parts = parts
    this.#clock = clock
    this.#urlOf = urlOf
    this.#onOpen = onOpen
    this.#onHit = onHit
    this.#field = part(parts.form, "field")
    this.#field.addEventListener("input", () => onTyped(this.#field.value))
    this.#field.addEventListener("keydown", (event) => this.#pressed(event, onTyped))
    parts.form.addEventListener("submit", (event) => {
      event.preventDefault()
      onEnter()
    })
    parts.more.addEventListener("click", () => onMore())
  }

  focus() {
    this.#field.focus()
    this.#field.select()
  }

  /** As `SearchBox` tells. */
  show({ query, found, isLoading }) {
    const { results, list, status, more } = this.#parts
    show(list, query === "")
    show(results, query !== "")
    const conversations = found?.conversations ?? []
    const hits = found?.hits ?? []
    this.#draw([...conversations.map((each) => this.#title(each)), ...hits.map((each) => this.#hit(each))])
    show(more, (found?.next ?? null) !== null)
    more.ariaDisabled = String(isLoading)
    const isNothing = found !== null && conversations.length + hits.length === 0 && found.next === null
    setText(status, isLoading ? gettext("Searching…") : isNothing ? gettext("Nothing found.") : "")
  }

  // Results that are there already stay: one of them may have the focus.
  #draw(elements) {
    const list = part(this.#parts.results, "list")
    const isMore = this.#shown.length > 0 && elements.length > this.#shown.length && this.#startsAlike(elements)
    const added = isMore ? elements.slice(this.#shown.length) : elements
    if (!isMore) list.replaceChildren()
    list.append(...added)
    this.#shown = [...list.children]
  }

  #startsAlike(elements) {
    return this.#shown.every((each, place) => each.dataset.key === elements[place].dataset.key)
  }

  #title({ id, title }) {
    return this.#result({ id, title, key: id, pieces: [gettext("The title")], open: () => this.#onOpen(id) })
  }

  #hit(hit) {
    const { conversation_id: id, message_id: key, title, pieces, created_at: at } = hit
    return this.#result({ id, title, key, pieces, at, open: () => this.#onHit(hit) })
  }

  #result({ id, title, key, pieces, at = null, open }) {
    const item = fromTemplate("search-result-template")
    item.dataset.key = key
    const link = part(item, "link")
    link.href = this.#urlOf(id)
    link.addEventListener("click", (event) => {
      if (!isPlainClick(event)) return
      event.preventDefault()
      open()
    })
    part(item, "title").textContent = title || gettext("New chat")
    if (at !== null) part(item, "time").textContent = shortTime(at, this.#clock())
    part(item, "snippet").append(...pieces.map((text, place) => (place % 2 === 0 ? text : marked(text))))
    return item
  }

  #pressed(event, onTyped) {
    if (event.key !== "Escape" || this.#field.value === "") return
    // This Escape is only for the field: the drawer around it stays open.
    event.stopPropagation()
    event.preventDefault()
    this.#field.value = ""
    onTyped("")
  }
}

function marked(text) {
  const mark = document.createElement("mark")
  mark.textContent = text
  return mark
}
