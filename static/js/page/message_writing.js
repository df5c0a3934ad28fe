import { gettext } from "../language/translate.js"
import { goOnText } from "../text/reply_words.js"
import { typingStarted, typingStopped } from "../transport/protocol.js"

export const closedText = () => gettext("The connection is closed.")

/** Moves a text from the draft through the outbox to a message, and back if it was not sent. */
export class MessageWriting {
  #parts
  #edited = null

  /**
   * `parts`: `session`, `socket`, `outbox`, `drafts`, `typing`, `editing`, `meter`, `view`, `list`, `composer`, `keeper`,
   * `notices`, `uploads`, `announcer`, `temporaryChat`.
   */
  constructor(parts) {
    this.#parts = parts
  }

  typed(text) {
    const { drafts, typing, session } = this.#parts
    drafts.save(session.scope, text)
    typing.typed(text.length)
  }

  tellTyping(chars) {
    const { socket, session, uploads } = this.#parts
    socket.send(typingStarted(session.scope, chars, uploads.ids(session.scope)))
  }

  /** A sent message is being edited; an empty `text` says that it is no longer. */
  revising(messageId, text) {
    const { editing } = this.#parts
    if (messageId !== this.#edited) editing.forget()
    this.#edited = messageId
    editing.typed(text.length)
  }

  tellEditing(chars) {
    this.#parts.socket.send(typingStarted(this.#parts.session.scope, chars, [], this.#edited))
  }

  tellTypingStopped() {
    this.#parts.socket.send(typingStopped(this.#parts.session.scope))
  }

  /** A file's state has changed in the draft of `scope`. */
  attachmentsChanged(scope) {
    const { session, view } = this.#parts
    if (scope.conversationId === session.scope.conversationId) view.showAttachments(session.scope)
  }

  /** The server has a file of the draft: it is read into the cache while the person types the question. */
  attached(scope, { name }) {
    const { session, composer, announcer } = this.#parts
    announcer.say(gettext("{name} is attached.", { name }))
    if (scope.conversationId === session.scope.conversationId) this.tellTyping(composer.text.length)
  }

  /** Takes a text from the composer; from now on it cannot be lost. */
  send(text, pressedAt) {
    const { session, drafts, typing, keeper, uploads, temporaryChat } = this.#parts
    const temporary = session.scope.conversationId === null && temporaryChat.isWanted
    this.#add({ text, attachments: uploads.take(session.scope), temporary }, pressedAt)
    drafts.save(session.scope, "")
    typing.forget()
    keeper.jumpToEnd()
    return true
  }

  /** Asks for the rest of an answer that reached its length limit. The draft stays. */
  goOn(pressedAt) {
    this.#add({ text: goOnText() }, pressedAt)
    this.#parts.keeper.jumpToEnd()
    this.#parts.composer.rest()
  }

  /** Sends an edited message, as another version beside the first. */
  revise(messageId, text, pressedAt) {
    this.#parts.editing.forget()
    this.#add({ text, editOf: messageId }, pressedAt)
  }

  retry(clientMessageId) {
    this.#parts.outbox.retry(clientMessageId)
    this.#parts.composer.rest()
  }

  /** Puts an unsent message back where it can be edited. */
  takeBack(clientMessageId) {
    const { outbox, list, composer, drafts, session, view, uploads } = this.#parts
    const entry = outbox.discard(clientMessageId)
    list.discardWaiting(clientMessageId)
    if (entry === null) return
    uploads.putBack(session.scope, entry.attachments ?? [])
    composer.restore([entry.text, composer.text].filter((text) => text !== "").join("\n\n"))
    drafts.save(session.scope, composer.text)
    view.deliveryChanged()
    composer.focus()
  }

  /** An outbox entry has another state. */
  deliveryChanged(entry) {
    const { session, list, view } = this.#parts
    if (entry.scope.conversationId === session.scope.conversationId) list.showWaiting(entry)
    view.deliveryChanged()
  }

  #add(message, pressedAt) {
    const { session, socket, outbox, meter, list, view, notices } = this.#parts
    const entry = outbox.add({ scope: session.scope, ...message })
    meter.pressed(entry.clientMessageId, pressedAt)
    notices.clear()
    list.showWaiting(entry)
    view.deliveryChanged()
    if (socket.isEnded) outbox.fail(entry.clientMessageId, closedText())
  }
}
