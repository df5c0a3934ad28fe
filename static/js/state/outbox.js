import { gettext } from "../language/translate.js"
import { messageSend } from "../transport/protocol.js"

// A message from a closed tab must not be sent the next day without the person's knowledge.
const STALE_AFTER_MS = 10 * 60_000

/**
 * Messages being sent: kept until the server says that the row is committed, and sent again after a reconnect with the
 * same `client_message_id`, an idempotency key that makes a resend harmless.
 * An entry is `{ clientMessageId, scope, text, editOf, attachments, temporary, createdAtMs, state, reason }`; `state` is
 * `sending` or `failed`, `editOf` the message that it is another version of, or null, `attachments` are `[{ id, name }]`,
 * `temporary` says that it begins a temporary chat.
 */
export class Outbox {
  #entries = new Map()
  #ackTimers = new Map()
  #ackTimeoutMs
  #values
  #timers
  #clock
  #uuid
  #transmit
  #onChange

  /** `transmit(frame)` returns whether it was sent; `onChange(entry)` reports a new state; `clock` is wall time. */
  constructor({ values, timers, clock, uuid, ackTimeoutMs, transmit, onChange }) {
    this.#ackTimeoutMs = ackTimeoutMs
    this.#values = values
    this.#timers = timers
    this.#clock = clock
    this.#uuid = uuid
    this.#transmit = transmit
    this.#onChange = onChange
    this.#restore()
  }

  add({ scope, text, editOf = null, attachments = [], temporary = false }) {
    const clientMessageId = this.#uuid()
    const message = { clientMessageId, scope, text, editOf, attachments, temporary }
    const entry = { ...message, createdAtMs: this.#clock(), state: "sending", reason: null }
    this.#entries.set(clientMessageId, entry)
    this.#values.set(clientMessageId, entry)
    this.#send(entry)
    return entry
  }

  /** The socket can carry messages again. */
  connected() {
    for (const entry of this.#entries.values()) {
      if (entry.state === "sending") this.#send(entry)
    }
  }

  disconnected() {
    for (const clientMessageId of [...this.#ackTimers.keys()]) this.#stopWaiting(clientMessageId)
  }

  /** The server has the message: removes and returns the entry, or null if it is not ours. */
  acknowledge(clientMessageId) {
    return this.#remove(clientMessageId)
  }

  /** Removes an entry and returns it, for example to put its text back where it can be edited. */
  discard(clientMessageId) {
    return this.#remove(clientMessageId)
  }

  fail(clientMessageId, reason) {
    this.#update(clientMessageId, { state: "failed", reason })
  }

  /** There will be no more connection: everything that waits has failed. */
  failAll(reason) {
    for (const clientMessageId of this.#entries.keys()) this.fail(clientMessageId, reason)
  }

  retry(clientMessageId) {
    const entry = this.#update(clientMessageId, { state: "sending", reason: null })
    if (entry !== null) this.#send(entry)
  }

  has(clientMessageId) {
    return this.#entries.has(clientMessageId)
  }

  entriesFor({ conversationId }) {
    const entries = [...this.#entries.values()]
    return entries.filter((entry) => entry.scope.conversationId === conversationId)
  }

  /** Whether a message of this conversation is being sent and not yet acknowledged. */
  isSendingTo(scope) {
    return this.entriesFor(scope).some(({ state }) => state === "sending")
  }

  #restore() {
    const stored = this.#values.values().filter((entry) => typeof entry?.clientMessageId === "string")
    for (const entry of stored.sort((a, b) => a.createdAtMs - b.createdAtMs)) {
      const isStale = this.#clock() - entry.createdAtMs > STALE_AFTER_MS
      const reason = gettext("The page was closed before it could be sent.")
      this.#entries.set(entry.clientMessageId, isStale ? { ...entry, state: "failed", reason } : entry)
    }
  }

  #send(entry) {
    const { clientMessageId } = entry
    if (!this.#transmit(messageSend(entry))) return
    this.#stopWaiting(clientMessageId)
    const giveUp = () => this.fail(clientMessageId, gettext("The server did not answer."))
    this.#ackTimers.set(clientMessageId, this.#timers.set(giveUp, this.#ackTimeoutMs))
  }

  #update(clientMessageId, change) {
    const entry = this.#entries.get(clientMessageId)
    if (entry === undefined) return null
    this.#stopWaiting(clientMessageId)
    const changed = { ...entry, ...change }
    this.#entries.set(clientMessageId, changed)
    this.#values.set(clientMessageId, changed)
    this.#onChange(changed)
    return changed
  }

  #remove(clientMessageId) {
    const entry = this.#entries.get(clientMessageId) ?? null
    this.#stopWaiting(clientMessageId)
    this.#entries.delete(clientMessageId)
    if (entry !== null) this.#values.delete(clientMessageId)
    return entry
  }

  #stopWaiting(clientMessageId) {
    this.#timers.clear(this.#ackTimers.get(clientMessageId))
    this.#ackTimers.delete(clientMessageId)
  }
}
