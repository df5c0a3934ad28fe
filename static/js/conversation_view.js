import { endingOf } from "./message_list.js"

/**
 * The open conversation in the page: what `ConversationSession` tells becomes visible here, by the parts that own
 * the pieces. Names and order of its methods follow that class's list.
 */
export class ConversationView {
  #parts
  #conversationId = null
  #isStateShown = false
  #runningReplyId = null
  #chosen = null

  /**
   * `parts`: `list`, `queue`, `elsewhere`, `header`, `picker`, `composer`, `keeper`, `announcer`, `meter`, `sidebar`,
   * `navigation`, `outbox`, `drafts`, `uploads`, `tray` and `onFirstState()`.
   */
  constructor(parts) {
    this.#parts = parts
  }

  /** Before the server has answered: the draft can be gone on with at once. */
  opening(scope) {
    const { sidebar, header, composer, drafts, picker, list, queue, outbox } = this.#parts
    this.#conversationId = scope.conversationId
    this.#isStateShown = false
    this.#chosen = null
    list.clear()
    queue.show([])
    for (const entry of outbox.entriesFor(scope)) list.showWaiting(entry)
    picker.show(scope.conversationId === null && list.isEmpty)
    sidebar.markCurrent(scope.conversationId)
    header.showTitle(sidebar.title(scope.conversationId))
    composer.restore(drafts.load(scope))
    this.showAttachments(scope)
    picker.choose(scope.assistantId)
    this.#showBlocked()
  }

  /** Says whether the reply `keepReplyId` is known here, and goes on. */
  stateShown(frame, { keepReplyId }) {
    const { list, queue, header, sidebar, picker, keeper, outbox, onFirstState } = this.#parts
    const conversationId = frame.conversation?.id ?? null
    const isFirst = !this.#isStateShown
    this.#isStateShown = true
    const isKept = list.showConversation(frame, { keepReplyId })
    queue.show(frame.conversation?.queue ?? [])
    header.showAssistant(frame.assistant)
    if (frame.conversation !== null) sidebar.update(frame.conversation)
    sidebar.markCurrent(conversationId)
    header.showTitle(frame.conversation?.title ?? "")
    for (const entry of outbox.entriesFor({ conversationId })) list.showWaiting(entry)
    picker.show(conversationId === null && list.isEmpty)
    this.#showBlocked()
    this.#showElsewhere()
    if (isFirst) keeper.jumpToEnd()
    else if (this.#chosen !== null) this.#showChosen()
    else keeper.resized()
    onFirstState()
    return isKept
  }

  /** The files of the draft. */
  showAttachments(scope) {
    const { uploads, tray, composer } = this.#parts
    tray.show(uploads.entries(scope))
    composer.attached({ count: uploads.ids(scope).length, isBusy: uploads.isBusy(scope) })
  }

  shows(messageId) {
    return this.#parts.list.shows(messageId)
  }

  /** The person went to another version of a message; the state will bring it. */
  choosing(messageId, step) {
    this.#chosen = { messageId, step }
  }

  /** The first message of a new chat is committed: the conversation exists and has an address. */
  conversationBegan(conversationId, { scope, text, attachments }) {
    const { sidebar, navigation, drafts, composer, header, uploads, titleChars } = this.#parts
    const now = new Date().toISOString()
    this.#conversationId = conversationId
    if (!sidebar.has(conversationId)) {
      const title = firstWords(text.trim() || (attachments?.[0]?.name ?? ""), titleChars)
      sidebar.update({ id: conversationId, title, assistant_id: scope.assistantId, created_at: now, updated_at: now })
    }
    sidebar.markCurrent(conversationId)
    header.showTitle(sidebar.title(conversationId))
    navigation.go(conversationId)
    drafts.save(scope, "")
    drafts.save({ conversationId }, composer.text)
    uploads.move(scope, { conversationId })
  }

  /** Says whether it could be shown: not where the branch that it follows is not on this page. */
  messageCreated(frame) {
    const { list, queue, picker, keeper, meter } = this.#parts
    meter.becameMessage(frame.client_message_id, frame.message_id)
    queue.drop(frame.message_id)
    const outcome = list.messageCreated(frame)
    picker.show(false)
    if (outcome === "shown") this.awaitReply()
    this.#showBlocked()
    keeper.resized()
    return outcome !== "lost"
  }

  messageQueued(frame) {
    const { list, queue, keeper, meter, announcer } = this.#parts
    meter.forget(frame.client_message_id)
    list.discardWaiting(frame.client_message_id)
    queue.add({ ...frame, chars: frame.text.length, is_held: false })
    announcer.say("Your message waits for the end of the reply.")
    keeper.jumpToEnd()
  }

  /** `isWanted`: its text goes on being written, where it was taken from or at the next visit there. */
  messageWithdrawn({ conversation_id, client_message_id, message_id, text, attachments }, { isWanted }) {
    const { list, queue, composer, drafts, uploads } = this.#parts
    const isHere = conversation_id === this.#conversationId
    if (isHere) list.discardWaiting(client_message_id)
    if (isHere) queue.drop(message_id)
    if (!isWanted) return
    const scope = { conversationId: conversation_id }
    const draft = joined(text, isHere ? composer.text : drafts.load(scope))
    drafts.save(scope, draft)
    uploads.putBack(scope, attachments)
    if (!isHere) return
    composer.restore(draft)
    composer.focus()
  }

  queueChanged(waiting) {
    const { queue, keeper } = this.#parts
    queue.show(waiting)
    keeper.resized()
  }

  /** Says whether it is on the shown branch. */
  replyStarted(frame, { isContinued }) {
    const { list, meter, keeper } = this.#parts
    list.startReply(frame, { isContinued })
    this.#showElsewhere()
    meter.replyStarted(frame.reply_id, frame.parent_id)
    keeper.resized()
    return list.shows(frame.reply_id)
  }

  replySnapshot(replyId, blocks) {
    const { list, meter, keeper } = this.#parts
    list.reply(replyId).showBlocks(blocks)
    if (blocks.some(({ kind, text }) => kind === "text" && text.trim() !== "")) meter.firstWords(replyId)
    keeper.resized()
  }

  replyDelta(frame) {
    const { list, meter, keeper } = this.#parts
    const isFirst = list.reply(frame.reply_id).append(frame)
    if (!isFirst || !list.shows(frame.reply_id)) return
    meter.firstWords(frame.reply_id)
    keeper.resized()
  }

  replyBlock(frame) {
    this.#parts.list.reply(frame.reply_id).block(frame)
  }

  replyFinished(frame) {
    const { list, announcer, keeper } = this.#parts
    const reply = list.reply(frame.reply_id)
    if (reply === null) return
    reply.ended(endingOf(frame))
    announcer.replyFinished({ status: frame.status, text: reply.spokenText })
    keeper.resized()
  }

  /** The server has a question and will answer. */
  awaitReply() {
    this.#parts.list.awaitReply()
  }

  stopAwaiting() {
    this.#chosen = null
    this.#parts.list.stopAwaiting()
  }

  runningChanged(replyId) {
    const { list, composer } = this.#parts
    this.#runningReplyId = replyId
    list.running(replyId !== null)
    composer.running(replyId !== null)
    this.#showElsewhere()
  }

  /** A message of this conversation waits, failed, or has arrived. */
  deliveryChanged() {
    this.#showBlocked()
  }

  // Where the view stood when the person chose, with the arrow that they used.
  #showChosen() {
    const { list, announcer } = this.#parts
    const { messageId, step } = this.#chosen
    this.#chosen = null
    const place = list.focusVersion(messageId, step)
    if (place !== null) announcer.say(place)
  }

  #showElsewhere() {
    const { elsewhere, list } = this.#parts
    elsewhere.hidden = this.#runningReplyId === null || list.shows(this.#runningReplyId)
  }

  #showBlocked() {
    const { outbox, composer } = this.#parts
    composer.blocked(this.#conversationId === null && outbox.isSendingTo({ conversationId: null }))
  }
}

const joined = (...texts) => texts.filter((text) => text !== "").join("\n\n")

function firstWords(text, maxChars) {
  const line = text.trim().split("\n")[0]
  return line.length > maxChars ? `${line.slice(0, maxChars - 1)}…` : line
}
