import { isAbout, PROTOCOL_VERSION, typingStarted, typingStopped } from "../transport/protocol.js"

const CLOSED = "The connection is closed."
const NO_CONNECTION = "There is no connection just now. Try again in a moment."

/** What an act of the person, or a word of the server, means for the parts of the page. */
export class ChatPage {
  #parts
  #mayHoldArrived = false
  #isEnded = false

  /**
   * `parts`: `session`, `socket`, `outbox`, `drafts`, `typing`, `acks`, `meter`, `warmth`, `view`, `list`,
   * `composer`, `keeper`, `sidebar`, `header`, `navigation`, `requests`, `notices`, `drawer`, `connectionNotice`,
   * `uploads`, `announcer`, and `newChat` (the scope of one), `signIn()`.
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
    warmth.show(scope)
    notices.clear()
    session.open(scope)
    view.opening(scope)
    drawer.close()
  }

  /** Another assistant for the new chat; what is written stays. */
  chooseAssistant(assistantId) {
    const { session, typing, warmth } = this.#parts
    const scope = { conversationId: null, assistantId }
    typing.stop()
    warmth.show(scope)
    session.open(scope)
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

  /** A file's state has changed in the draft of `scope`. */
  attachmentsChanged(scope) {
    const { session, view } = this.#parts
    if (scope.conversationId === session.scope.conversationId) view.showAttachments(session.scope)
  }

  /** The server has a file of the draft: it is read ahead while the question is typed. */
  attached(scope, { name }) {
    const { session, composer, announcer } = this.#parts
    announcer.say(`${name} is attached.`)
    if (scope.conversationId === session.scope.conversationId) this.tellTyping(composer.text.length)
  }

  tellTypingStopped() {
    this.#parts.socket.send(typingStopped(this.#parts.session.scope))
  }

  /** Takes a text from the composer; nothing is lost from here on. */
  send(text, pressedAt) {
    const { session, outbox, drafts, typing, meter, list, view, keeper, notices, uploads } = this.#parts
    const entry = outbox.add({ scope: session.scope, text, attachments: uploads.take(session.scope) })
    meter.pressed(entry.clientMessageId, pressedAt)
    drafts.save(session.scope, "")
    typing.forget()
    notices.clear()
    list.showWaiting(entry)
    view.deliveryChanged()
    keeper.jumpToEnd()
    if (this.#isEnded) outbox.fail(entry.clientMessageId, CLOSED)
    return true
  }

  retry(clientMessageId) {
    this.#parts.outbox.retry(clientMessageId)
  }

  /** Sends a message anew, as another version beside the first. */
  revise(messageId, text, pressedAt) {
    const { session, outbox, meter, list, view, notices } = this.#parts
    const entry = outbox.add({ scope: session.scope, text, editOf: messageId })
    meter.pressed(entry.clientMessageId, pressedAt)
    notices.clear()
    list.showWaiting(entry)
    view.deliveryChanged()
    if (this.#isEnded) outbox.fail(entry.clientMessageId, CLOSED)
  }

  /** Shows another version of a message; `step` is the arrow that was used. */
  select(messageId, step) {
    const { session, view, notices } = this.#parts
    if (session.select(messageId)) view.choosing(messageId, step)
    else notices.say(NO_CONNECTION)
  }

  /** Goes to the branch where a reply is being written. */
  showRunning() {
    const { session, keeper, notices } = this.#parts
    if (session.select(session.runningReplyId)) keeper.jumpToEnd()
    else notices.say(NO_CONNECTION)
  }

  /** Takes a waiting message back, to go on writing it or to drop it. */
  withdraw(messageId, { isWanted }) {
    const { session, notices, composer } = this.#parts
    if (!session.withdraw(messageId, { isWanted })) notices.say(NO_CONNECTION)
    composer.focus()
  }

  sendQueued(messageId, pressedAt) {
    const { session, meter, notices, composer } = this.#parts
    if (!session.sendQueued(messageId)) return notices.say(NO_CONNECTION)
    meter.pressed(messageId, pressedAt)
    composer.focus()
  }

  /** Puts a message that was not sent back where it can be changed. */
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

  tryAgain(replyId, pressedAt) {
    const { session, meter, list, notices, view, keeper } = this.#parts
    if (!session.regenerate(replyId)) return notices.say(NO_CONNECTION)
    notices.clear()
    view.awaitReply()
    keeper.jumpToEnd()
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
    else if (frame.type === "conversation.state") this.#resend()
    else if (frame.type === "warmth") this.#warmth(frame)
    else if (frame.type === "error") this.#failed(frame)
    else if (frame.type === "conversation.updated") this.#conversationUpdated(frame.conversation)
  }

  connectionChanged(status) {
    const { connectionNotice, outbox, signIn } = this.#parts
    this.#isEnded = status.state === "ended"
    connectionNotice.show(status)
    if (status.state === "waiting") outbox.disconnected()
    if (status.isSignedOut) signIn()
    else if (this.#isEnded) outbox.failAll(CLOSED)
  }

  /** An outbox entry waits again, or has failed. */
  deliveryChanged(entry) {
    const { list, session, view } = this.#parts
    if (entry.scope.conversationId !== session.scope.conversationId) return
    list.showWaiting(entry)
    view.deliveryChanged()
  }

  #connected(ready) {
    const { composer, acks, session, typing, warmth, notices } = this.#parts
    if (ready.protocol !== PROTOCOL_VERSION) notices.say("The server was updated. Reload the page to go on.")
    this.#mayHoldArrived = true
    warmth.forget()
    composer.limit(ready.limits)
    acks.connected(ready)
    session.connected()
    typing.connected(ready.timings)
  }

  // Behind the first state of a connection, which tells what of the waiting has arrived already.
  #resend() {
    if (this.#mayHoldArrived) this.#parts.outbox.connected()
    this.#mayHoldArrived = false
  }

  #warmth(frame) {
    const { warmth, session } = this.#parts
    warmth.take(frame)
    if (isAbout(frame, session.scope)) warmth.show(session.scope)
  }

  #failed({ code, message, ref }) {
    const { outbox, notices, view, session, newChat } = this.#parts
    if (ref !== null && outbox.has(ref)) return outbox.fail(ref, message)
    if (code === "not_found" && session.refused(ref)) return notices.say("That message has been sent already.")
    const isGone = code === "not_found" && ref !== null && ref === session.scope.conversationId
    if (isGone) this.goTo(newChat)
    view.stopAwaiting()
    notices.say(isGone ? "That conversation does not exist any more." : message)
  }

  #conversationUpdated(conversation) {
    const { sidebar, session, header, drafts, newChat } = this.#parts
    const isOpen = conversation.id === session.scope.conversationId
    sidebar.update(conversation)
    if (conversation.deleted) drafts.save({ conversationId: conversation.id }, "")
    if (isOpen && conversation.deleted) this.goTo(newChat)
    else if (isOpen) header.showTitle(conversation.title)
  }
}
