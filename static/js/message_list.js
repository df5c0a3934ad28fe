import { fromTemplate, part } from "./dom.js"
import { ReplyView } from "./reply_view.js"
import { UserMessageView } from "./user_message_view.js"

/** The messages of the open conversation, in order. Waiting messages of the outbox come last. */
export class MessageList {
  #root
  #options
  #users = []
  #replies = new Map()
  #assistantName = ""
  #awaited = null

  /** `options`: `highlighter`, `scheduler`, `onTryAgain`, `onRetry`, `onEdit`, handed to the messages' views. */
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
    this.#root.replaceChildren()
  }

  reply(replyId) {
    return this.#replies.get(replyId) ?? null
  }

  /**
   * A whole conversation from `conversation.state`. The reply `keepReplyId` is shown already and goes on; those that
   * have ended stay as they are, so that a reconnect disturbs nobody who reads.
   */
  showConversation({ messages, assistant }, { keepReplyId = null } = {}) {
    this.#assistantName = assistant.name
    const mayStay = (view) => view.isEnded || view.replyId === keepReplyId
    const staying = [...this.#replies].filter(([, view]) => mayStay(view))
    this.#replies = new Map(staying)
    this.#users = []
    this.#awaited = null
    this.#root.replaceChildren(...messages.map((message) => this.#elementFor(message)))
  }

  /** A message that is on its way (an outbox entry) or whose delivery changed. */
  showWaiting(entry) {
    const known = this.#users.find(({ clientMessageId }) => clientMessageId === entry.clientMessageId)
    const view = known ?? this.#addUser(entry)
    view.waiting(entry)
  }

  /** Takes a `message.created`; says whether the message was not here already. */
  messageCreated({ client_message_id, message_id, text }) {
    if (this.#users.some(({ messageId }) => messageId === message_id)) return false
    const known = this.#users.find(({ clientMessageId }) => clientMessageId === client_message_id)
    const view = known ?? this.#addUser({ clientMessageId: client_message_id, text })
    view.sent(message_id)
    view.element.after(...this.#repliesTo(message_id))
    return true
  }

  discardWaiting(clientMessageId) {
    this.#users.find((view) => view.clientMessageId === clientMessageId)?.element.remove()
    this.#users = this.#users.filter((view) => view.clientMessageId !== clientMessageId)
  }

  /** A reply will come; the server has not begun it yet. */
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

  /** Takes a `reply.started`. What followed the reply's parent gives way: this is another try. */
  startReply({ reply_id, parent_id, warmth }, { isContinued }) {
    this.stopAwaiting()
    const known = isContinued ? this.reply(reply_id) : null
    const view = known ?? this.#newReply(reply_id, parent_id)
    const parent = this.#root.querySelector(`[data-message-id="${CSS.escape(parent_id)}"]`)
    while (parent !== null && parent.nextElementSibling?.dataset.messageId) parent.nextElementSibling.remove()
    if (parent === null) this.#root.append(view.element)
    else parent.after(view.element)
    view.started({ warmth })
    return view
  }

  #elementFor(message) {
    if (message.role === "user") return this.#userFrom(message).element
    return (this.reply(message.id) ?? this.#replyFrom(message)).element
  }

  #userFrom(message) {
    const { client_message_id: clientMessageId, text } = message
    const view = new UserMessageView({ ...this.#options, clientMessageId, text })
    view.sent(message.id)
    this.#users.push(view)
    return view
  }

  #replyFrom(message) {
    const view = this.#newReply(message.id, message.parent_id)
    view.started(message)
    view.showBlocks(message.blocks.length > 0 ? message.blocks : [proseBlock(message.text)])
    if (message.status !== "streaming") view.ended(endingOf(message))
    return view
  }

  #newReply(replyId, parentId) {
    const view = new ReplyView({ ...this.#options, replyId, parentId, assistantName: this.#assistantName })
    this.#replies.set(replyId, view)
    return view
  }

  #addUser({ clientMessageId, text }) {
    const view = new UserMessageView({ ...this.#options, clientMessageId, text })
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

/** The end of a reply as its view wants it, from a stored message or from `reply.finished`. */
export function endingOf({ status, stop_reason, error, usage, warmth, ttft_ms, cost_usd }) {
  return { status, stopReason: stop_reason, error, usage, warmth, ttftMs: ttft_ms, costUsd: cost_usd }
}
