import { gettext } from "../language/translate.js"
import { historyLoad } from "../transport/protocol.js"

// A message may grow while its code and pictures are drawn: it is looked at again.
const LOOK_AGAIN_MS = [0, 120, 500]

/** Goes to a message that the search found: its conversation, its branch, its part of the history, its place. */
export class MessageFinder {
  #parts
  #target = null

  /**
   * `parts`: `session`, `goTo(scope)`, `closeDrawer()`, `list`, `earlier`, `keeper`, `words` (`FoundWords`), `notices`, `announcer`,
   * `timers`, `send(frame)`, `scopeFor(conversationId)`.
   */
  constructor(parts) {
    this.#parts = parts
  }

  /** `hit` as in `search.results`. */
  go(hit) {
    const { session, goTo, closeDrawer, words, scopeFor } = this.#parts
    words.clear()
    const isHere = session.scope.conversationId === hit.conversation_id
    if (!isHere) goTo(scopeFor(hit.conversation_id))
    this.#target = { conversationId: hit.conversation_id, messageId: hit.message_id, words: hit.words, hasAsked: false }
    if (isHere) closeDrawer()
    if (isHere) this.advance()
  }

  /** Another conversation is shown. */
  left(conversationId) {
    if (this.#target?.conversationId !== conversationId) this.#target = null
    this.#parts.words.clear()
  }

  /** A state, or a part of the history, has arrived. */
  advance(frame = null) {
    const { session, list, earlier, send } = this.#parts
    const target = this.#target
    if (target === null || session.scope.conversationId !== target.conversationId) return
    if (list.shows(target.messageId)) return this.#show(target)
    if (frame?.around === target.messageId && !frame.is_shown) session.select(target.messageId)
    else if (!target.hasAsked) target.hasAsked = send(historyLoad(target.conversationId, { around: target.messageId }))
    else if (frame !== null && !earlier.want()) this.lost()
  }

  /** The server does not know the message any more. */
  lost() {
    if (this.#target !== null) this.#parts.notices.say(gettext("That message does not exist any more."))
    this.#target = null
  }

  #show({ messageId, words }) {
    const { timers, announcer } = this.#parts
    this.#target = null
    for (const delayMs of LOOK_AGAIN_MS) timers.set(() => this.#mark(messageId, words), delayMs)
    announcer.say(gettext("The message that was found is shown."))
  }

  #mark(messageId, words) {
    const { list, keeper, words: foundWords } = this.#parts
    const element = list.element(messageId)
    if (element === null) return
    const place = foundWords.mark(element, words)
    keeper.goTo(() => centre(place))
  }
}

function centre(place) {
  const element = place.startContainer?.parentElement ?? place
  element.scrollIntoView({ block: "center" })
}
