import { backoffDelayMs } from "../transport/backoff.js"
import {
  branchSelect,
  conversationOpen,
  isAbout,
  queueSend,
  queueWithdraw,
  replyRegenerate,
  replyStop,
  toolAnswer,
} from "../transport/protocol.js"
import { StreamBuffer } from "./stream_buffer.js"

/**
 * The conversation that this page shows: takes the server's frames, keeps the running reply complete, and updates the
 * view. Loading, reloading, reconnecting and repairing a gap are one path: `conversation.open`, answered by
 * `conversation.state`.
 *
 * `view` gets: `stateShown(frame, { keepReplyId })`, `conversationBegan(conversationId, entry)`,
 * `messageCreated(frame)`, `replyStarted(frame, { isContinued })`, `replySnapshot(replyId, blocks)`,
 * `replyDelta(frame)`, `replyBlock(frame)`, `replyFinished(frame)`, `runningChanged(replyId or null)`,
 * `messageQueued(frame)`, `messageWithdrawn(frame, { isWanted })`, `queueChanged(queue)`; and answers
 * `shows(messageId)`: whether a message is shown.
 */
export class ConversationSession {
  #send
  #outbox
  #view
  #scope
  #buffer = null
  #isOpening = false
  #lastSeq = 0
  #timers
  #random
  #refusals = 0
  #withdrawing = new Map()
  #branch = null
  #assistantId = null
  #handlers = {
    "conversation.state": (frame) => this.#state(frame),
    "conversation.updated": (frame) => this.#updated(frame.conversation),
    "message.created": (frame) => this.#messageCreated(frame),
    "message.queued": (frame) => this.#messageQueued(frame),
    "message.withdrawn": (frame) => this.#messageWithdrawn(frame),
    error: (frame) => this.#refused(frame),
    "reply.started": (frame) => this.#replyStarted(frame),
    "reply.delta": (frame) => this.#replyFrame(frame, () => this.#view.replyDelta(frame)),
    "reply.block": (frame) => this.#replyFrame(frame, () => this.#view.replyBlock(frame)),
    "reply.finished": (frame) => this.#replyFrame(frame, () => this.#replyFinished(frame)),
  }

  /** `send(frame)` may refuse without a connection; `connected()` sends it later. `random` returns [0, 1). */
  constructor({ scope, send, outbox, view, timers, random }) {
    this.#timers = timers
    this.#random = random
    this.#scope = scope
    this.#send = send
    this.#outbox = outbox
    this.#view = view
  }

  get scope() {
    return this.#scope
  }

  get runningReplyId() {
    return this.#buffer?.replyId ?? null
  }

  /** The newest `seq` of the running reply, or of the last one that ran. */
  get lastSeq() {
    return this.#lastSeq
  }

  get cursor() {
    return this.#buffer?.cursor ?? null
  }

  /** Shows another conversation, or a new chat. */
  open(scope) {
    this.#scope = scope
    this.#assistantId = null
    this.#run(null)
    this.#ask()
  }

  /** After `ready`: everything that happened in the meantime comes with the state. */
  connected() {
    this.#ask()
    for (const messageId of this.#withdrawing.keys()) this.#send(queueWithdraw(messageId))
  }

  take(frame) {
    this.#handlers[frame.type]?.(frame)
  }

  /** Returns whether a reply runs. */
  stop() {
    if (this.#buffer !== null) this.#send(replyStop(this.#buffer.replyId))
    return this.#buffer !== null
  }

  /** What the person says to a call that waits. Returns whether it was sent. */
  answer(replyId, callId, answer) {
    return this.#send(toolAnswer(replyId, callId, answer))
  }

  regenerate(replyId) {
    return this.#send(replyRegenerate(replyId))
  }

  /** Shows the branch through this message, here and on every device. */
  select(messageId) {
    const isSent = this.#send(branchSelect(this.#scope, messageId, this.cursor))
    this.#isOpening ||= isSent
    return isSent
  }

  /** Withdraws a waiting message; the answer has its text, `isWanted` says whether it goes to the composer. */
  withdraw(messageId, { isWanted }) {
    this.#withdrawing.set(messageId, isWanted)
    return this.#send(queueWithdraw(messageId))
  }

  /** Sends a held message. */
  sendQueued(messageId) {
    return this.#send(queueSend(messageId))
  }

  /** The server refused something that names this message. */
  refused(messageId) {
    return this.#withdrawing.delete(messageId)
  }

  #ask() {
    this.#isOpening = this.#send(conversationOpen(this.#scope, this.cursor))
  }

  // The refused frame may have asked for the state that we need: a server in a database outage can answer later.
  #refused({ retryable }) {
    if (this.#isOpening && retryable) {
      const scope = this.#scope
      const askAgain = () => scope === this.#scope && !this.#isOpening && this.#ask()
      this.#timers.set(askAgain, backoffDelayMs(this.#refusals++, this.#random))
    }
    this.#isOpening = false
  }

  #state(frame) {
    const about = { conversation_id: frame.conversation?.id, assistant_id: frame.assistant.id }
    if (!isAbout(about, this.#scope)) return
    this.#isOpening = false
    this.#refusals = 0
    this.#branch = frame.conversation?.branch ?? null
    this.#assistantId = frame.assistant.id
    for (const message of frame.messages) this.#outbox.acknowledge(message.client_message_id)
    const isContinued = this.#continues(frame)
    if (!isContinued) this.#run(frame.reply === null ? null : StreamBuffer.fromSnapshot(frame.reply))
    const keepReplyId = isContinued ? this.#buffer.replyId : null
    const isKept = this.#view.stateShown(frame, { keepReplyId })
    if (frame.reply === null) return
    this.#view.replyStarted(frame.reply, { isContinued: isKept })
    if (!isKept) this.#view.replySnapshot(frame.reply.reply_id, this.#buffer.blocks)
  }

  // Another device may have changed the branch, and the frame that said so may be lost.
  #updated({ id, branch, queue, deleted, assistant_id: assistantId }) {
    if (id !== this.#scope.conversationId || deleted) return
    this.#view.queueChanged(queue)
    // Another one answers from here on: its name and model are in the state.
    if (this.#assistantId !== null && assistantId !== this.#assistantId && !this.#isOpening) return this.#ask()
    const isOnItsWay = this.#isOpening || this.#outbox.isSendingTo(this.#scope)
    // The message that names the branch may be further up than the loaded messages.
    const isShown = branch === null || branch === this.#branch || this.#view.shows(branch)
    if (!isShown && !isOnItsWay) this.#ask()
    else if (isShown) this.#branch = branch
  }

  // `recovered` means that the frames after our cursor follow: what we have is the correct beginning.
  #continues({ reply, recovered }) {
    if (reply === null || !recovered || this.#buffer === null) return false
    return reply.reply_id === this.#buffer.replyId && reply.epoch === this.#buffer.epoch
  }

  #messageCreated(frame) {
    const entry = this.#outbox.acknowledge(frame.client_message_id)
    const isOurNewChat = entry !== null && entry.scope.conversationId === null
    if (isOurNewChat && this.#scope.conversationId === null) {
      this.#scope = { ...this.#scope, conversationId: frame.conversation_id }
      this.#view.conversationBegan(frame.conversation_id, entry)
    }
    if (frame.conversation_id !== this.#scope.conversationId) return
    if (this.#view.messageCreated(frame)) this.#branch = frame.message_id
    else if (!this.#isOpening) this.#ask()
  }

  #messageQueued(frame) {
    this.#outbox.acknowledge(frame.client_message_id)
    if (frame.conversation_id === this.#scope.conversationId) this.#view.messageQueued(frame)
  }

  #messageWithdrawn(frame) {
    this.#outbox.acknowledge(frame.client_message_id)
    const isWanted = this.#withdrawing.get(frame.message_id) ?? false
    this.#withdrawing.delete(frame.message_id)
    this.#view.messageWithdrawn(frame, { isWanted })
  }

  #replyStarted(frame) {
    const isKnown = frame.reply_id === this.runningReplyId && frame.epoch === this.#buffer.epoch
    if (frame.conversation_id !== this.#scope.conversationId || isKnown) return
    this.#run(new StreamBuffer({ replyId: frame.reply_id, epoch: frame.epoch }))
    if (this.#view.replyStarted(frame, { isContinued: false })) this.#branch = frame.reply_id
    else if (!this.#isOpening) this.#ask()
  }

  #replyFrame(frame, show) {
    if (frame.reply_id !== this.runningReplyId) return this.#strangeReplyFrame(frame)
    const outcome = this.#buffer.apply(frame)
    if (outcome === "applied") this.#lastSeq = frame.seq
    if (outcome === "applied") show()
    else if (outcome === "gap" && !this.#isOpening) this.#ask()
  }

  // Of a reply that does not run here only the end matters: its owner died, and another process ended it.
  #strangeReplyFrame(frame) {
    if (frame.type === "reply.finished") this.#view.replyFinished(frame)
  }

  #replyFinished(frame) {
    this.#run(null)
    this.#view.replyFinished(frame)
  }

  #run(buffer) {
    const before = this.runningReplyId
    this.#buffer = buffer
    this.#lastSeq = buffer?.seq ?? this.#lastSeq
    if (before !== this.runningReplyId) this.#view.runningChanged(this.runningReplyId)
  }
}
