import { filesOf, filesToSend } from "./attached_files.js"
import { arrange, fromTemplate, part } from "./dom.js"
import { ReplyView } from "./reply_view.js"
import { UserMessageView } from "./user_message_view.js"

/** The messages of the shown branch, in order. Waiting messages of the outbox come last, or where they were edited. */
export class MessageList {
  #root
  #options
  #users = []
  #replies = new Map()
  #assistantName = ""
  #awaited = null
  #hidden = new Map()

  /**
   * `options`: `highlighter`, `typesetter`, `clock`, `scheduler`, `onTryAgain`, `onGoOn`, `onRetry`, `onEdit`, `onRevise`, `onSelect`, `onAnswer`, `drafts`,
   * `limits` and `isTouch()`, handed to the messages' views.
   */
  constructor({ root, ...options }) {
    this.#root = root
    this.#options = options
  }

  get isEmpty() {
    return this.#root.childElementCount === 0
  }

  clear() {
    this.#users = []
    this.#replies.clear()
    this.#awaited = null
    this.#hidden.clear()
    this.#root.replaceChildren()
  }

  reply(replyId) {
    return this.#replies.get(replyId) ?? null
  }

  shows(messageId) {
    return this.element(messageId) !== null
  }

  /**
   * The newest part of a conversation, from `conversation.state`. The reply `keepReplyId` is known already and
   * continues, whether or not it is on the branch. Ended replies and sent messages stay as they are, and so do earlier
   * messages if the part follows them, so that a reconnect disturbs nobody who reads or edits. Returns what stayed: `{ keepsReply, keepsEarlier }`.
   */
  showConversation({ messages, assistant }, { keepReplyId = null } = {}) {
    this.#assistantName = assistant.name
    const mayStay = (view) => view.isEnded || view.replyId === keepReplyId
    const staying = [...this.#replies].filter(([, view]) => mayStay(view))
    const above = this.#before(messages[0])
    this.#replies = new Map(staying)
    this.#users = this.#users.filter(({ messageId }) => messageId !== null)
    this.#awaited = null
    for (const element of this.#hidden.values()) element.hidden = false
    this.#hidden.clear()
    const elements = messages.map((message) => this.#elementFor(message))
    arrange(this.#root, [...(above ?? []), ...elements])
    this.#users = this.#users.filter(({ element }) => element.isConnected)
    return { keepsReply: keepReplyId !== null && this.#replies.has(keepReplyId), keepsEarlier: above !== null }
  }

  /** Earlier messages of the branch, from `history.page`: above all others. */
  prepend(messages) {
    this.#root.prepend(...messages.map((message) => this.#elementFor(message)))
  }

  /** The mark of what is summarised for the assistant: after one reply, if that is on this page. */
  summarised(summary) {
    for (const view of this.#replies.values()) view.summarised(view.replyId === summary.message_id ? summary : null)
  }

  /** A message that is being sent (an outbox entry), or whose delivery state changed. */
  showWaiting(entry) {
    const known = this.#waiting(entry.clientMessageId)
    const files = filesToSend(entry.attachments)
    const view = known ?? this.#addUser({ ...entry, files })
    view.waiting(entry)
    if (known === undefined) this.#standInFor(entry, view)
  }

  /** Takes a `message.created`; returns `known`, `shown`, or `lost` if the message before it is not on this page. */
  messageCreated({ client_message_id, message_id, parent_id, text, attachments, images }) {
    const files = filesOf({ attachments, images })
    if (this.#users.some(({ messageId }) => messageId === message_id)) return "known"
    const parent = parent_id === null ? null : this.element(parent_id)
    if (parent_id !== null && parent === null) return "lost"
    const news = { clientMessageId: client_message_id, text, files }
    const view = this.#waiting(client_message_id) ?? this.#addUser(news)
    view.attached(files)
    this.#hidden.delete(client_message_id)
    view.sent(message_id, [...this.#giveWay(parent, view.element), message_id])
    view.element.after(...this.#repliesTo(message_id))
    return "shown"
  }

  /** It is no longer being sent; if it replaced an earlier version, that version is shown again. */
  discardWaiting(clientMessageId) {
    this.#waiting(clientMessageId)?.element.remove()
    this.#users = this.#users.filter((view) => view.clientMessageId !== clientMessageId || view.messageId !== null)
    if (this.#hidden.has(clientMessageId)) this.#hidden.get(clientMessageId).hidden = false
    this.#hidden.delete(clientMessageId)
  }

  /** A reply is expected, but the server has not begun it yet. */
  awaitReply() {
    this.stopAwaiting()
    this.#awaited = fromTemplate("awaited-reply-template")
    part(this.#awaited, "author").textContent = this.#assistantName
    this.#root.append(this.#awaited)
  }

  stopAwaiting() {
    this.#awaited?.remove()
    this.#awaited = null
  }

  /** Takes a `reply.started`. It replaces what followed its parent, which is another version of it. */
  startReply({ reply_id, parent_id, warmth }, { isContinued }) {
    this.stopAwaiting()
    const known = isContinued ? this.reply(reply_id) : null
    const parent = this.element(parent_id)
    // On another branch it is still written, and shown when the person goes there.
    const siblings = parent === null ? [] : this.#giveWay(parent, known?.element)
    const view = known ?? this.#newReply(reply_id, parent_id)
    parent?.after(view.element)
    view.started({ warmth })
    view.versions(siblings.includes(reply_id) ? siblings : [...siblings, reply_id])
    return view
  }

  /**
   * After another version was chosen: focuses its switch for the next press of the same key. Returns its place, as
   * "Version 2 of 3".
   */
  focusVersion(messageId, step) {
    const view = this.#users.find((user) => user.messageId === messageId) ?? this.reply(messageId)
    if (view === null || !view.element.isConnected) return null
    return view.focusVersion(step)
  }

  /** Opens the editor of the person's last message; returns whether there is one. */
  editLast() {
    const sent = this.#root.querySelectorAll(":scope > .message--user[data-message-id]:not([hidden])")
    const view = this.#users.find(({ element }) => element === sent[sent.length - 1])
    view?.edit()
    return view !== undefined
  }

  /** While a reply is written here, nobody can ask for another. */
  running(isRunning) {
    this.#root.dataset.running = String(isRunning)
  }

  // Replaces what follows `parent` (or what is at the start, without one) by `element`. Returns the versions of what
  // was in its place.
  #giveWay(parent, element) {
    const following = [...this.#root.children].slice(parent === null ? 0 : [...this.#root.children].indexOf(parent) + 1)
    const leaving = following.filter((each) => each.dataset.messageId && each !== element)
    const views = [...this.#users, ...this.#replies.values()]
    const versions = views.find((view) => view.element === leaving[0])?.siblings ?? []
    const own = views.find((view) => view.element === element)
    for (const each of leaving) each.remove()
    this.#users = this.#users.filter(({ element: { isConnected } }) => isConnected)
    if (element !== undefined && parent !== null) parent.after(element)
    else if (element !== undefined) this.#root.prepend(element)
    return leaving.length > 0 ? versions : (own?.siblings ?? [])
  }

  // The messages before this one, or null if it is not here.
  #before(message) {
    const first = message === undefined ? null : this.element(message.id)
    if (first === null) return null
    const children = [...this.#root.children]
    return children.slice(0, children.indexOf(first)).filter(({ dataset }) => dataset.messageId !== undefined)
  }

  #standInFor({ clientMessageId, editOf }, view) {
    const edited = editOf ? this.element(editOf) : null
    if (edited === null) return
    edited.after(view.element)
    edited.hidden = true
    this.#hidden.set(clientMessageId, edited)
  }

  /** The element of a message, or null if it is not here. */
  element(messageId) {
    return this.#root.querySelector(`:scope > [data-message-id="${CSS.escape(messageId)}"]`)
  }

  #waiting(clientMessageId) {
    return this.#users.find((view) => view.clientMessageId === clientMessageId && view.messageId === null)
  }

  #elementFor(message) {
    if (message.role === "user") return (this.#sentBefore(message) ?? this.#userFrom(message)).element
    const view = this.reply(message.id) ?? this.#replyFrom(message)
    view.versions(message.siblings)
    view.summarised(message.summary ?? null)
    return view.element
  }

  #sentBefore({ id, siblings }) {
    const view = this.#users.find(({ messageId }) => messageId === id)
    view?.sent(id, siblings)
    return view
  }

  #userFrom(message) {
    const { client_message_id: clientMessageId, text } = message
    const files = filesOf(message)
    const view = new UserMessageView({ ...this.#options, clientMessageId, text, files })
    view.sent(message.id, message.siblings)
    this.#users.push(view)
    return view
  }

  #replyFrom(message) {
    const view = this.#newReply(message.id, message.parent_id, message.assistant ?? this.#assistantName)
    view.started(message)
    view.showBlocks(message.blocks.length > 0 ? message.blocks : [proseBlock(message.text)])
    if (message.status !== "streaming") view.ended(endingOf(message))
    return view
  }

  #newReply(replyId, parentId, assistantName = this.#assistantName) {
    const view = new ReplyView({
      ...this.#options,
      replyId,
      parentId,
      assistantName,
      onEditQuestion: (messageId) => this.#users.find((user) => user.messageId === messageId)?.edit(),
    })
    this.#replies.set(replyId, view)
    return view
  }

  #addUser({ clientMessageId, text, files }) {
    const view = new UserMessageView({ ...this.#options, clientMessageId, text, files })
    this.#users.push(view)
    this.#root.append(view.element)
    return view
  }

  #repliesTo(messageId) {
    const replies = [...this.#replies.values()].filter(({ parentId }) => parentId === messageId)
    return replies.map(({ element }) => element)
  }
}

const proseBlock = (text) => ({ block: 0, kind: "text", name: "", text, state: "stop" })

/** The end of a reply in its view's format, from a stored message or from `reply.finished`. */
export function endingOf({ status, stop_reason, stop_details, error, usage, warmth, ttft_ms, cost_usd }) {
  const stop = { stopReason: stop_reason, stopDetails: stop_details }
  return { status, ...stop, error, usage, warmth, ttftMs: ttft_ms, costUsd: cost_usd }
}
