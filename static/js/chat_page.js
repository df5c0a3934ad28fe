import { isAbout, typingStarted, typingStopped } from "./protocol.js"

const NO_CONNECTION = "There is no connection just now. Try again in a moment."

/** What an act of the person, or a word of the server, means for the parts of the page. */
export class ChatPage {
  #parts

  /**
   * `parts`: `session`, `socket`, `outbox`, `drafts`, `typing`, `acks`, `meter`, `warmth`, `view`, `list`,
   * `composer`, `keeper`, `sidebar`, `header`, `navigation`, `requests`, `notices`, `drawer`, `connectionNotice`,
   * and `newChat` (the scope of one), `signIn()`.
   */
  constructor(parts) {
    this.#parts = parts
  }

  // The person

  /** Shows `scope` and gives it an entry in the browser's history. */
  goTo(scope) {
    this.#parts.navigation.go(scope.conversationId)
    this.arriveAt(scope)
  }

  /** Shows `scope`; the address is right already. */
  arriveAt(scope) {
    const { session, typing, warmth, view, drawer, notices } = this.#parts
    typing.stop()
    warmth.reset()
    notices.clear()
    session.open(scope)
    view.opening(scope)
    drawer.close()
  }

  /** Another assistant for the new chat; what is written stays. */
  chooseAssistant(assistantId) {
    const { session, typing, warmth } = this.#parts
    typing.stop()
    warmth.reset()
    session.open({ conversationId: null, assistantId })
  }

  typed(text) {
    const { drafts, typing, session } = this.#parts
    drafts.save(session.scope, text)
    typing.typed(text.length)
  }

  tellTyping(chars) {
    this.#parts.socket.send(typingStarted(this.#parts.session.scope, chars))
  }

  tellTypingStopped() {
    this.#parts.socket.send(typingStopped(this.#parts.session.scope))
  }

  /** Takes a text from the composer; nothing is lost from here on. */
  send(text, pressedAt) {
    const { session, outbox, drafts, typing, meter, list, view, keeper, notices } = this.#parts
    const entry = outbox.add({ scope: session.scope, text })
    meter.pressed(entry.clientMessageId, pressedAt)
    drafts.save(session.scope, "")
    typing.forget()
    notices.clear()
    list.showWaiting(entry)
    view.outboxChanged(session.scope)
    keeper.jumpToEnd()
    return true
  }

  retry(clientMessageId) {
    this.#parts.outbox.retry(clientMessageId)
  }

  /** Puts a message that was not sent back where it can be changed. */
  takeBack(clientMessageId) {
    const { outbox, list, composer, drafts, session, view } = this.#parts
    const entry = outbox.discard(clientMessageId)
    list.discardWaiting(clientMessageId)
    if (entry === null) return
    composer.restore([entry.text, composer.text].filter((text) => text !== "").join("\n\n"))
    drafts.save(session.scope, composer.text)
    view.outboxChanged(session.scope)
    composer.focus()
  }

  tryAgain(replyId, pressedAt) {
    const { session, meter, list, notices } = this.#parts
    if (!session.regenerate(replyId)) return notices.say(NO_CONNECTION)
    notices.clear()
    meter.pressed(list.reply(replyId).parentId, pressedAt)
  }

  async rename(conversationId, title) {
    const isDone = title === "" || (await this.#parts.requests.rename(conversationId, title))
    if (!isDone) this.#parts.notices.say("The new name could not be saved. Try again.")
  }

  async delete(conversationId) {
    const isDone = await this.#parts.requests.delete(conversationId)
    if (!isDone) this.#parts.notices.say("The conversation could not be deleted. Try again.")
  }

  // The server

  take(frame, bytes) {
    const { session, acks } = this.#parts
    session.take(frame)
    if (Number.isInteger(frame.seq)) acks.read(frame, bytes)
    else if (frame.type === "ready") this.#connected(frame)
    else if (frame.type === "warmth") this.#warmth(frame)
    else if (frame.type === "error") this.#failed(frame)
    else if (frame.type === "conversation.updated") this.#conversationUpdated(frame.conversation)
  }

  connectionChanged(status) {
    const { connectionNotice, outbox, signIn } = this.#parts
    connectionNotice.show(status)
    if (status.state === "waiting") outbox.disconnected()
    if (status.isSignedOut) signIn()
    else if (status.state === "ended") outbox.failAll("The connection is closed.")
  }

  /** An outbox entry waits again, or has failed. */
  deliveryChanged(entry) {
    const { list, session, view } = this.#parts
    if (entry.scope.conversationId !== session.scope.conversationId) return
    list.showWaiting(entry)
    view.outboxChanged(session.scope)
  }

  // The order matters: the state tells which waiting messages have arrived, and only the rest is sent again.
  #connected(ready) {
    const { composer, acks, session, outbox, typing } = this.#parts
    composer.limit(ready.limits)
    acks.connected(ready)
    session.connected()
    outbox.connected()
    typing.connected(ready.timings)
  }

  #warmth(frame) {
    if (isAbout(frame, this.#parts.session.scope)) this.#parts.warmth.take(frame)
  }

  #failed({ message, ref }) {
    const { outbox, notices } = this.#parts
    if (ref !== null && outbox.has(ref)) outbox.fail(ref, message)
    else notices.say(message)
  }

  #conversationUpdated(conversation) {
    const { sidebar, session, header, newChat } = this.#parts
    const isOpen = conversation.id === session.scope.conversationId
    sidebar.update(conversation)
    if (isOpen && conversation.deleted) this.goTo(newChat)
    else if (isOpen) header.showTitle(conversation.title)
  }
}
