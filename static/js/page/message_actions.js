import { gettext, gettext_noop } from "../language/translate.js"

const NO_CONNECTION = gettext_noop("There is no connection just now. Try again in a moment.")

/** Decides what a button on a message does: versions, waiting messages, another try, earlier messages. */
export class MessageActions {
  #parts

  /** `parts`: `session`, `meter`, `view`, `list`, `composer`, `keeper`, `notices`. */
  constructor(parts) {
    this.#parts = parts
  }

  /** Shows another version of a message; `step` is the arrow that was used. */
  select(messageId, step) {
    const { session, view } = this.#parts
    if (this.#isDone(session.select(messageId))) view.choosing(messageId, step)
  }

  /** Goes to the branch where a reply is being written. */
  showRunning() {
    const { session, keeper, composer } = this.#parts
    if (!this.#isDone(session.select(session.runningReplyId))) return
    keeper.jumpToEnd()
    composer.rest()
  }

  /** Withdraws a waiting message, to continue writing it or to drop it. */
  withdraw(messageId, { isWanted }) {
    const { session, composer } = this.#parts
    this.#isDone(session.withdraw(messageId, { isWanted }))
    composer.focus()
  }

  sendQueued(messageId, pressedAt) {
    const { session, meter, composer } = this.#parts
    if (!this.#isDone(session.sendQueued(messageId))) return
    meter.pressed(messageId, pressedAt)
    composer.focus()
  }

  tryAgain(replyId, pressedAt) {
    const { session, meter, list, notices, view, keeper, composer } = this.#parts
    if (!this.#isDone(session.regenerate(replyId))) return
    notices.clear()
    view.awaitReply()
    keeper.jumpToEnd()
    meter.pressed(list.reply(replyId).parentId, pressedAt)
    composer.rest()
  }

  #isDone(isSent) {
    if (!isSent) this.#parts.notices.say(gettext(NO_CONNECTION))
    return isSent
  }
}
