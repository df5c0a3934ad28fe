import { gettext, gettext_noop } from "../language/translate.js"
import { timeGroup } from "../text/time_groups.js"
import { conversationsLoad } from "../transport/protocol.js"

const PINNED = gettext_noop("Pinned")

/** The person's conversations, as far as the page has them: what is in the list, what is archived, and in what order. */
export class ConversationList {
  #send
  #clock
  #known = new Map()
  #shelf = "list"
  #next
  #loading = null

  /** `conversations` and `next`: what the page came with. `send(frame)` returns whether it was sent. */
  constructor({ conversations, next, send, clock }) {
    this.#send = send
    this.#clock = clock
    this.#next = { list: next, archive: undefined }
    for (const conversation of conversations) this.#known.set(conversation.id, conversation)
  }

  /** `list` or `archive`. */
  get shelf() {
    return this.#shelf
  }

  /** Whether the server has more for this shelf. */
  get hasMore() {
    return this.#next[this.#shelf] !== null
  }

  get(id) {
    return this.#known.get(id) ?? null
  }

  /** Shows the other shelf. The archive is asked for when it is first shown. */
  turnTo(shelf) {
    this.#shelf = shelf
    if (this.#next[shelf] === undefined) this.want()
  }

  /** Takes a conversation as the server sends it. */
  update(conversation) {
    if (conversation.deleted) this.#known.delete(conversation.id)
    else this.#known.set(conversation.id, { ...this.#known.get(conversation.id), ...conversation })
  }

  /** Asks for the next part, once. */
  want() {
    if (this.#loading !== null || !this.hasMore) return
    const before = this.#next[this.#shelf] ?? null
    const isSent = this.#send(conversationsLoad(this.#shelf, before))
    if (isSent) this.#loading = { shelf: this.#shelf, before }
  }

  /** Takes a `conversations.page`. */
  take({ shelf, before, conversations, next }) {
    if (this.#loading?.shelf === shelf && this.#loading.before === before) {
      this.#loading = null
      this.#next[shelf] = next
    }
    for (const conversation of conversations) this.update(conversation)
  }

  /** After a reconnect: the part that was asked for does not come any more. */
  connected() {
    this.#loading = null
    if (this.#next[this.#shelf] === undefined) this.want()
  }

  /** What is shown now, as `{ heading, conversations }` in order. */
  groups() {
    const shown = [...this.#known.values()].filter(
      ({ archived, temporary }) => temporary !== true && (archived === true) === (this.#shelf === "archive"),
    )
    const groups = new Map()
    for (const conversation of shown.sort(byPlace)) {
      const heading = this.#headingOf(conversation)
      if (!groups.has(heading)) groups.set(heading, [])
      groups.get(heading).push(conversation)
    }
    return [...groups].map(([heading, conversations]) => ({ heading, conversations }))
  }

  #headingOf({ pinned, updated_at }) {
    return pinned === true && this.#shelf === "list" ? gettext(PINNED) : timeGroup(updated_at, this.#clock())
  }
}

const byPlace = (a, b) =>
  Number(b.pinned === true) - Number(a.pinned === true) || Date.parse(b.updated_at) - Date.parse(a.updated_at)
