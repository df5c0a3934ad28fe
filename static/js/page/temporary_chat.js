import { gettext } from "../language/translate.js"
import { part } from "../views/dom.js"

/**
 * Temporary chats: the switch of a new chat, the line above an open one that says what will become of it, and its end
 * when the person leaves it. A page that is only closed cannot say so: then the server ends the chat after a day.
 */
export class TemporaryChat {
  #switch
  #line
  #requests
  #notices
  #openId = null

  /** `welcome` has the switch; `line` is the line; `requests` can `delete(id)`; `onEnd()`: the person wants to leave. */
  constructor({ welcome, line, requests, notices, onEnd }) {
    this.#switch = part(welcome, "temporary")
    this.#line = line
    this.#requests = requests
    this.#notices = notices
    part(line, "end").addEventListener("click", () => onEnd())
  }

  /** Whether the first message of a new chat begins a temporary one. */
  get isWanted() {
    return this.#switch.checked
  }

  /** The chat of the first message exists. */
  began(conversationId, { temporary }) {
    this.shown(temporary ? { id: conversationId, temporary } : null)
  }

  /** The page shows this conversation, or a new chat. */
  shown(conversation) {
    this.#openId = conversation?.temporary ? conversation.id : null
    this.#line.hidden = this.#openId === null
    if (conversation !== null) this.#switch.checked = false
  }

  /** The page is about to show something else: a temporary chat that was open is deleted. */
  async left(conversationId) {
    const leftId = this.#openId
    if (leftId === null || leftId === conversationId) return
    this.shown(null)
    const isDone = await this.#requests.delete(leftId)
    if (!isDone)
      this.#notices.say(gettext("The temporary chat could not be deleted now. It is deleted within 24 hours."))
  }

  /** It was deleted: here, elsewhere, or by the server. */
  deleted(conversationId) {
    if (conversationId === this.#openId) this.shown(null)
  }
}
