import { gettext } from "../language/translate.js"
import { errorText } from "../text/error_words.js"
import { isAbout } from "../transport/protocol.js"
import { closedText } from "./message_writing.js"

/** Decides what a frame from the server, or its absence, means for the parts of the page. */
export class ServerFrames {
  #parts
  #mayHoldArrived = false
  #handlers = {
    ready: (frame) => this.#connected(frame),
    "conversation.state": () => this.#stateShown(),
    "conversation.updated": (frame) => this.#conversationUpdated(frame.conversation),
    "conversation.summarised": (frame) => this.#summarised(frame),
    "history.page": (frame) => this.#historyPage(frame),
    "conversations.page": (frame) => this.#parts.sidebar.takePage(frame),
    "search.results": (frame) => this.#parts.search.take(frame),
    "reply.finished": (frame) => this.#replyFinished(frame),
    quota: (frame) => this.#parts.quotas.take(frame.limits),
    warmth: (frame) => this.#warmth(frame),
    error: (frame) => this.#failed(frame),
  }

  /**
   * `parts`: `session`, `outbox`, `drafts`, `typing`, `editing`, `acks`, `warmth`, `quotas`, `earlier`, `view`,
   * `composer`, `sidebar`, `conversations`, `search`, `readMarks`, `finder`, `header`, `notices`, `connectionNotice`,
   * `switcher`, `temporaryChat`, `releases`, and `signIn()`.
   */
  constructor(parts) {
    this.#parts = parts
  }

  take(frame, bytes) {
    const { session, acks } = this.#parts
    session.take(frame)
    if (Number.isInteger(frame.seq)) acks.read(frame, bytes)
    this.#handlers[frame.type]?.(frame)
  }

  connectionChanged(status) {
    const { connectionNotice, outbox, signIn } = this.#parts
    connectionNotice.show(status)
    if (status.state === "waiting") outbox.disconnected()
    if (status.isSignedOut) signIn()
    else if (status.state === "ended") outbox.failAll(closedText())
  }

  #connected(ready) {
    const { composer, acks, session, typing, editing, warmth, quotas, earlier, releases, conversations, search } =
      this.#parts
    releases.connected(ready)
    this.#mayHoldArrived = true
    warmth.forget()
    earlier.lost()
    composer.limit(ready.limits)
    quotas.take(ready.quota)
    acks.connected(ready)
    session.connected()
    typing.connected(ready.timings)
    editing.connected(ready.timings)
    conversations.connected()
    search.now()
  }

  #stateShown() {
    const { readMarks, finder, session } = this.#parts
    this.#resend()
    readMarks.shown(session.scope.conversationId)
    finder.advance()
  }

  // It may be the reply of a conversation that was left.
  #replyFinished(frame) {
    const { view, readMarks, session } = this.#parts
    if (view.shows(frame.reply_id)) readMarks.replyEnded(session.scope.conversationId)
  }

  #summarised(frame) {
    const { view, session } = this.#parts
    if (isAbout(frame, session.scope)) view.summarised(frame.summary)
  }

  #historyPage(frame) {
    const { view, finder } = this.#parts
    view.historyPage(frame)
    finder.advance(frame)
  }

  // After the first state of a connection, which says which waiting messages have arrived already.
  #resend() {
    if (this.#mayHoldArrived) this.#parts.outbox.connected()
    this.#mayHoldArrived = false
  }

  #warmth(frame) {
    const { warmth, session } = this.#parts
    warmth.take(frame)
    if (isAbout(frame, session.scope)) warmth.show(session.scope)
  }

  #failed({ code, message, ref, quota }) {
    const { outbox, notices, view, session, earlier, switcher, quotas, finder } = this.#parts
    const told = quotas.refusal(errorText({ code, message }), quota)
    if (ref !== null && outbox.has(ref)) return outbox.fail(ref, told)
    if (code === "not_found" && session.refused(ref)) return notices.say(gettext("That message has been sent already."))
    const isAboutOpen = ref !== null && ref === session.scope.conversationId
    const isGone = isAboutOpen && code === "not_found"
    if (isAboutOpen) earlier.lost()
    if (isAboutOpen) finder.lost()
    if (isGone) switcher.goToNewChat()
    view.stopAwaiting()
    notices.say(isGone ? gettext("That conversation does not exist any more.") : told)
  }

  #conversationUpdated(conversation) {
    const { sidebar, session, header, drafts, switcher, temporaryChat } = this.#parts
    const isOpen = conversation.id === session.scope.conversationId
    sidebar.update(conversation)
    if (conversation.deleted) drafts.save({ conversationId: conversation.id }, "")
    if (conversation.deleted) temporaryChat.deleted(conversation.id)
    if (isOpen && conversation.deleted) switcher.goToNewChat()
    else if (isOpen) header.showTitle(conversation.title)
  }
}
