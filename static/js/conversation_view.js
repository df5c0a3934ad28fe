import { endingOf } from "./message_list.js"

/**
 * The open conversation in the page: what `ConversationSession` tells becomes visible here, by the parts that own
 * the pieces. Names and order of its methods follow that class's list.
 */
export class ConversationView {
  #parts
  #conversationId = null
  #isStateShown = false
  #isAwaiting = false

  /**
   * `parts`: `list`, `header`, `picker`, `composer`, `keeper`, `announcer`, `meter`, `sidebar`, `navigation`,
   * `outbox`, `drafts` and `onFirstState()`.
   */
  constructor(parts) {
    this.#parts = parts
  }

  /** Before the server has answered: the draft can be gone on with at once. */
  opening(scope) {
    const { sidebar, header, composer, drafts, picker, list, outbox } = this.#parts
    this.#conversationId = scope.conversationId
    this.#isStateShown = this.#isAwaiting = false
    list.clear()
    for (const entry of outbox.entriesFor(scope)) list.showWaiting(entry)
    picker.show(scope.conversationId === null && list.isEmpty)
    sidebar.markCurrent(scope.conversationId)
    header.showTitle(sidebar.title(scope.conversationId))
    composer.restore(drafts.load(scope))
    picker.choose(scope.assistantId)
    this.#showBlocked()
  }

  stateShown(frame, { keepReplyId }) {
    const { list, header, sidebar, picker, keeper, outbox, onFirstState } = this.#parts
    const conversationId = frame.conversation?.id ?? null
    const isFirst = !this.#isStateShown
    this.#isStateShown = true
    this.#isAwaiting = false
    list.showConversation(frame, { keepReplyId })
    header.showAssistant(frame.assistant)
    if (frame.conversation !== null) sidebar.update(frame.conversation)
    sidebar.markCurrent(conversationId)
    header.showTitle(frame.conversation?.title ?? "")
    for (const entry of outbox.entriesFor({ conversationId })) list.showWaiting(entry)
    picker.show(conversationId === null && list.isEmpty)
    this.#showBlocked()
    if (isFirst) keeper.jumpToEnd()
    else keeper.resized()
    onFirstState()
  }

  /** The first message of a new chat is committed: the conversation exists and has an address. */
  conversationBegan(conversationId, { scope, text }) {
    const { sidebar, navigation, drafts, composer, header } = this.#parts
    const now = new Date().toISOString()
    this.#conversationId = conversationId
    if (!sidebar.has(conversationId)) {
      const title = firstWords(text)
      sidebar.update({ id: conversationId, title, assistant_id: scope.assistantId, created_at: now, updated_at: now })
    }
    sidebar.markCurrent(conversationId)
    header.showTitle(sidebar.title(conversationId))
    navigation.go(conversationId)
    drafts.save(scope, "")
    drafts.save({ conversationId }, composer.text)
  }

  messageCreated(frame) {
    const { list, picker, keeper, meter } = this.#parts
    meter.becameMessage(frame.client_message_id, frame.message_id)
    const isNews = list.messageCreated(frame)
    picker.show(false)
    if (isNews) this.awaitReply()
    keeper.resized()
  }

  replyStarted(frame, { isContinued }) {
    const { list, meter, keeper } = this.#parts
    list.startReply(frame, { isContinued })
    this.#isAwaiting = false
    this.#showBlocked()
    meter.replyStarted(frame.reply_id, frame.parent_id)
    keeper.resized()
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
    if (!isFirst) return
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

  /** The server has a question and will answer; until it begins, another one would be refused. */
  awaitReply() {
    this.#isAwaiting = true
    this.#parts.list.awaitReply()
    this.#showBlocked()
  }

  stopAwaiting() {
    this.#isAwaiting = false
    this.#parts.list.stopAwaiting()
    this.#showBlocked()
  }

  runningChanged(replyId) {
    this.#parts.composer.running(replyId !== null)
  }

  /** A message of this conversation waits, failed, or has arrived. */
  deliveryChanged() {
    this.#showBlocked()
  }

  #showBlocked() {
    const { outbox, composer } = this.#parts
    const waiting = outbox.entriesFor({ conversationId: this.#conversationId }).some(({ state }) => state === "sending")
    composer.blocked(waiting || this.#isAwaiting)
  }
}

const TITLE_CHARS = 60

function firstWords(text) {
  const line = text.trim().split("\n")[0]
  return line.length > TITLE_CHARS ? `${line.slice(0, TITLE_CHARS - 1)}…` : line
}
