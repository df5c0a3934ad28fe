import { gettext, gettext_noop } from "../language/translate.js"
import { earlierText, firstWords } from "../text/conversation_words.js"
import { endingOf } from "./message_list.js"

// As the server names it; the header shows it in the page's language.
const TEMPORARY = gettext_noop("Temporary chat")

/**
 * The open conversation in the page: shows what `ConversationSession` reports, through the views that own the parts.
 * Names and order of its methods follow that class's list. What grows is followed by the window's `ResizeObserver`, when
 * the browser has done its layout: to ask for sizes here would make it do one more for each frame from the server.
 */
export class ConversationView {
  #parts
  #conversationId = null
  #isStateShown = false
  #runningReplyId = null
  #chosen = null
  #hasAsked = false

  /**
   * `parts`: `list`, `queue`, `elsewhere`, `header`, `picker`, `composer`, `keeper`, `announcer`, `meter`, `sidebar`,
   * `navigation`, `outbox`, `drafts`, `earlier`, `uploads`, `tray`, `badge`, `temporaryChat` and `onFirstState()`.
   */
  constructor(parts) {
    this.#parts = parts
  }

  /** Before the server has answered: the person can continue the draft at once. */
  opening(scope) {
    const { sidebar, header, composer, drafts, picker, list, queue, outbox, earlier } = this.#parts
    this.#conversationId = scope.conversationId
    this.#isStateShown = false
    this.#chosen = null
    list.clear()
    earlier.show(scope)
    queue.show([])
    for (const entry of outbox.entriesFor(scope)) list.showWaiting(entry)
    this.#showWelcome(scope.conversationId === null && list.isEmpty)
    sidebar.markCurrent(scope.conversationId)
    header.showTitle(sidebar.title(scope.conversationId))
    composer.restore(drafts.load(scope))
    this.showAttachments(scope)
    picker.choose(scope.assistantId)
    this.#showBlocked()
  }

  /** Returns whether the reply `keepReplyId` is known here and continues. */
  stateShown(frame, { keepReplyId }) {
    const { list, queue, header, sidebar, keeper, outbox, earlier, temporaryChat, onFirstState } = this.#parts
    const conversationId = frame.conversation?.id ?? null
    const isFirst = !this.#isStateShown
    this.#isStateShown = true
    const { keepsReply, keepsEarlier } = list.showConversation(frame, { keepReplyId })
    if (!keepsEarlier) earlier.show({ conversationId, oldestId: frame.messages[0]?.id, count: frame.earlier })
    queue.show(frame.conversation?.queue ?? [])
    header.showAssistant(frame.assistant)
    if (frame.conversation !== null) sidebar.update(frame.conversation)
    temporaryChat.shown(frame.conversation)
    sidebar.markCurrent(conversationId)
    header.showTitle(frame.conversation?.title ?? "")
    for (const entry of outbox.entriesFor({ conversationId })) list.showWaiting(entry)
    this.#showWelcome(conversationId === null && list.isEmpty)
    this.#showBlocked()
    this.#showElsewhere()
    if (isFirst) keeper.jumpToEnd()
    else if (this.#chosen !== null) this.#showChosen()
    onFirstState()
    return keepsReply
  }

  /** The person pressed for earlier messages and wants an announcement when they are loaded. */
  askForEarlier() {
    this.#hasAsked = this.#parts.earlier.want()
  }

  /** Earlier messages have arrived: they go above what is read. */
  historyPage(frame) {
    const { list, keeper, earlier, announcer } = this.#parts
    keeper.keepInPlace(() => earlier.take(frame) && list.prepend(frame.messages))
    if (this.#hasAsked) announcer.say(earlierText(frame.messages.length))
    this.#hasAsked = false
    if (this.#chosen !== null) this.#showChosen()
  }

  /** From now on, the assistant gets a summary in place of what came before. */
  summarised(summary) {
    this.#parts.list.summarised(summary)
  }

  /** The files of the draft. */
  showAttachments(scope) {
    const { uploads, tray, badge, composer } = this.#parts
    tray.show(uploads.entries(scope))
    badge.attached(uploads.ids(scope).length)
    composer.attached({ count: uploads.ids(scope).length, isBusy: uploads.isBusy(scope) })
  }

  shows(messageId) {
    return this.#parts.list.shows(messageId)
  }

  /** The person chose another version of a message; the next state will have it. */
  choosing(messageId, step) {
    this.#chosen = { messageId, step }
  }

  /** The first message of a new chat is committed: the conversation exists and has an address. */
  conversationBegan(conversationId, { scope, text, attachments, temporary = false }) {
    const { sidebar, navigation, drafts, composer, header, uploads, temporaryChat, titleChars } = this.#parts
    const now = new Date().toISOString()
    this.#conversationId = conversationId
    if (!sidebar.has(conversationId)) {
      const title = temporary ? TEMPORARY : firstWords(text.trim() || (attachments?.[0]?.name ?? ""), titleChars)
      const times = { created_at: now, updated_at: now }
      sidebar.update({ id: conversationId, title, assistant_id: scope.assistantId, temporary, ...times })
    }
    temporaryChat.began(conversationId, { temporary })
    sidebar.markCurrent(conversationId)
    header.showTitle(sidebar.title(conversationId))
    navigation.go(conversationId)
    drafts.save(scope, "")
    drafts.save({ conversationId }, composer.text)
    uploads.move(scope, { conversationId })
  }

  /** Returns whether it could be shown: not if the branch that it follows is not on this page. */
  messageCreated(frame) {
    const { list, queue, meter, earlier } = this.#parts
    meter.becameMessage(frame.client_message_id, frame.message_id)
    queue.drop(frame.message_id)
    const outcome = list.messageCreated(frame)
    this.#showWelcome(false)
    if (outcome === "shown") this.awaitReply()
    // It is another version of the first message: nothing comes before it.
    if (outcome === "shown" && frame.parent_id === null) earlier.show({ conversationId: frame.conversation_id })
    this.#showBlocked()
    return outcome !== "lost"
  }

  messageQueued(frame) {
    const { list, queue, keeper, meter, announcer } = this.#parts
    meter.forget(frame.client_message_id)
    list.discardWaiting(frame.client_message_id)
    queue.add({ ...frame, chars: frame.text.length, is_held: false })
    announcer.say(gettext("Your message waits for the end of the reply."))
    keeper.jumpToEnd()
  }

  /** `isWanted`: its text returns to the draft where it came from, now or at the next visit there. */
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
    this.#parts.queue.show(waiting)
  }

  /** Returns whether it is on the shown branch. */
  replyStarted(frame, { isContinued }) {
    const { list, meter } = this.#parts
    list.startReply(frame, { isContinued })
    this.#showElsewhere()
    meter.replyStarted(frame.reply_id, frame.parent_id)
    return list.shows(frame.reply_id)
  }

  replySnapshot(replyId, blocks) {
    const { list, meter } = this.#parts
    list.reply(replyId).showBlocks(blocks)
    if (blocks.some(({ kind, text }) => kind === "text" && text.trim() !== "")) meter.firstWords(replyId)
  }

  replyDelta(frame) {
    const { list, meter } = this.#parts
    const isFirst = list.reply(frame.reply_id).append(frame)
    if (isFirst && list.shows(frame.reply_id)) meter.firstWords(frame.reply_id)
  }

  replyBlock(frame) {
    this.#parts.list.reply(frame.reply_id).block(frame)
  }

  replyFinished(frame) {
    const { list, announcer } = this.#parts
    const reply = list.reply(frame.reply_id)
    if (reply === null) return
    reply.ended(endingOf(frame))
    announcer.replyFinished({ status: frame.status, reply })
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

  // The position of the view when the person chose, with the arrow that they used.
  #showChosen() {
    const { list, announcer, earlier } = this.#parts
    const { messageId, step } = this.#chosen
    const place = list.focusVersion(messageId, step)
    // If it is further up than the newest part, it comes with an earlier part.
    if (place === null && earlier.want()) return
    this.#chosen = null
    if (place !== null) announcer.say(place)
  }

  #showWelcome(isShown) {
    this.#parts.picker.show(isShown)
    this.#parts.header.allowPrinting(!isShown)
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
