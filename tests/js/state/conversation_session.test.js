import assert from "node:assert/strict"
import { test } from "node:test"

import { ConversationSession } from "../../../static/js/state/conversation_session.js"
import { CONVERSATION, delta, FakeTime, finished, QUESTION, REPLY } from "../fakes.js"

const SCOPE = { conversationId: CONVERSATION, assistantId: null }
const NEW_CHAT = { conversationId: null, assistantId: 1 }
const ASSISTANT = { id: 1, name: "Python", model: "a-model" }

const STARTED = {
  type: "reply.started",
  reply_id: REPLY,
  parent_id: QUESTION,
  conversation_id: CONVERSATION,
  epoch: "e1",
  model: "m",
  warmth: "hit",
}

const state = (fields = {}) => ({
  type: "conversation.state",
  conversation: { id: CONVERSATION, title: "" },
  assistant: ASSISTANT,
  messages: [],
  reply: null,
  recovered: false,
  ...fields,
})

const running = (fields = {}) => ({
  reply_id: REPLY,
  parent_id: QUESTION,
  epoch: "e1",
  seq: 3,
  model: "m",
  warmth: "hit",
  blocks: [{ block: 0, kind: "text", name: "", text: "so far", state: "start" }],
  ...fields,
})

/** Writes down what it is told, as one line each. */
class FakeView {
  told = []
  text = ""

  shown = new Set()
  stateShown = (frame, { keepReplyId }) => {
    this.told.push(`state, keeps ${keepReplyId}`)
    for (const { id } of frame.messages) this.shown.add(id)
    return keepReplyId !== null
  }
  shows = (messageId) => this.shown.has(messageId)
  queueChanged = (queue) => this.told.push(`queue of ${queue.length}`)
  messageQueued = ({ text }) => this.told.push(`queued ${text}`)
  messageWithdrawn = ({ text }, { isWanted }) => this.told.push(`withdrawn ${text}${isWanted ? ", wanted" : ""}`)
  conversationBegan = (id) => this.told.push(`began ${id}`)
  messageCreated = ({ message_id, parent_id, text }) => {
    const isPlaced = parent_id == null || this.shown.has(parent_id)
    if (isPlaced) this.shown.add(message_id)
    return this.told.push(`message ${text}`) > 0 && isPlaced
  }
  replyStarted = ({ reply_id, parent_id }, { isContinued }) => {
    this.told.push(isContinued ? "goes on" : "started")
    return this.shown.add(reply_id).has(parent_id) || parent_id === QUESTION
  }
  replySnapshot = (_, blocks) => (this.text = blocks.map(({ text }) => text).join(""))
  replyDelta = ({ text }) => (this.text += text)
  replyBlock = () => this.told.push("block")
  replyFinished = ({ status }) => this.told.push(`finished ${status}`)
  runningChanged = (replyId) => this.told.push(replyId === null ? "idle" : "running")
}

function makeSession({ scope = SCOPE, pending = {}, isSending = false } = {}) {
  const sent = []
  const view = new FakeView()
  const acknowledged = []
  const outbox = {
    acknowledge(clientMessageId) {
      acknowledged.push(clientMessageId)
      return pending[clientMessageId] ?? null
    },
    isSendingTo: () => isSending,
  }
  const time = new FakeTime()
  const session = new ConversationSession({
    scope,
    view,
    outbox,
    send: (frame) => sent.push(frame) > 0,
    timers: time.timers,
    random: () => 0,
  })
  return { session, sent, view, acknowledged, time }
}

function makeRunningSession() {
  const all = makeSession()
  all.session.connected()
  for (const frame of [state(), STARTED, delta(1, "a"), delta(2, "b")]) all.session.take(frame)
  return all
}

test("a reply streams into the view and ends", () => {
  const { session, view } = makeRunningSession()

  session.take(finished(3))

  assert.equal(view.text, "ab")
  assert.deepEqual(view.told, ["state, keeps null", "running", "started", "idle", "finished complete"])
})

test("a frame that comes twice is shown once", () => {
  const { session, view } = makeRunningSession()

  session.take(delta(2, "b"))

  assert.equal(view.text, "ab")
})

test("a hole is healed by opening again from the last good frame, asked for once", () => {
  const { session, sent, view } = makeRunningSession()

  session.take(delta(4, "d"))
  session.take(delta(5, "e"))
  session.take(state({ reply: running({ seq: 5, blocks: [] }), recovered: true }))
  for (const frame of [delta(3, "c"), delta(4, "d"), delta(5, "e")]) session.take(frame)

  assert.equal(view.text, "abcde")
  assert.deepEqual(sent.slice(1), [
    {
      type: "conversation.open",
      conversation_id: CONVERSATION,
      cursor: { reply_id: REPLY, epoch: "e1", after_seq: 2 },
    },
  ])
})

test("a reconnect hands back the cursor, and what is shown stays when the rest follows", () => {
  const { session, sent, view } = makeRunningSession()

  session.connected()
  session.take(state({ reply: running({ seq: 3, blocks: [] }), recovered: true }))
  session.take(delta(3, "c"))

  assert.equal(sent.at(-1).cursor.after_seq, 2)
  assert.equal(view.text, "abc")
  assert.deepEqual(view.told.slice(-2), [`state, keeps ${REPLY}`, "goes on"])
})

test("what cannot be recovered is replaced by the snapshot", () => {
  const { session, view } = makeRunningSession()

  session.connected()
  session.take(state({ reply: running({ epoch: "e2", seq: 9 }), recovered: false }))
  session.take(delta(10, "!", { epoch: "e2" }))

  assert.equal(view.text, "so far!")
})

test("a reply that ended meanwhile leaves nothing running", () => {
  const { session, view } = makeRunningSession()

  session.connected()
  session.take(state())

  assert.equal(session.runningReplyId, null)
  assert.equal(view.told.at(-1), "state, keeps null")
})

test("another reply than the one we had is shown from its snapshot", () => {
  const { session, view } = makeRunningSession()

  session.connected()
  session.take(state({ reply: running({ reply_id: QUESTION, blocks: [] }), recovered: true }))

  assert.equal(session.runningReplyId, QUESTION)
  assert.equal(view.text, "")
})

test("an answer for a conversation that was left is not shown", () => {
  const { session, view } = makeSession()
  session.open(NEW_CHAT)

  session.take(state())

  assert.deepEqual(view.told, [])
})

test("frames of another conversation's reply are not shown", () => {
  const { session, view } = makeRunningSession()
  session.open(NEW_CHAT)

  session.take(delta(3, "c"))
  session.take({ ...STARTED, reply_id: QUESTION })

  assert.equal(view.text, "ab")
  assert.equal(session.runningReplyId, null)
})

test("the first message of a new chat gives it its id", () => {
  const pending = { "client-1": { scope: NEW_CHAT, text: "Hi" } }
  const { session, view } = makeSession({ scope: NEW_CHAT, pending })

  session.take({
    type: "message.created",
    client_message_id: "client-1",
    message_id: QUESTION,
    conversation_id: CONVERSATION,
    text: "Hi",
  })
  session.take(STARTED)

  assert.equal(session.scope.conversationId, CONVERSATION)
  assert.deepEqual(view.told, [`began ${CONVERSATION}`, "message Hi", "running", "started"])
})

test("another tab's new chat does not take this one over", () => {
  const { session, view } = makeSession({ scope: NEW_CHAT })

  session.take({
    type: "message.created",
    client_message_id: "other",
    message_id: QUESTION,
    conversation_id: CONVERSATION,
    text: "Hi",
  })

  assert.equal(session.scope.conversationId, null)
  assert.deepEqual(view.told, [])
})

test("a message that arrived before the connection broke is acknowledged by the state", () => {
  const { session, acknowledged } = makeSession()

  session.take(state({ messages: [{ id: QUESTION, role: "user", client_message_id: "client-1" }] }))

  assert.deepEqual(acknowledged, ["client-1"])
})

test("the end of a reply whose owner died is shown, though it does not run here", () => {
  const { session, view } = makeSession()

  session.take(finished(99, { status: "interrupted" }))

  assert.deepEqual(view.told, ["finished interrupted"])
})

test("stop names the running reply, and nothing is stopped where nothing runs", () => {
  const { session, sent } = makeRunningSession()

  session.stop()
  session.take(finished(3))
  session.stop()

  assert.deepEqual(sent.slice(1), [{ type: "reply.stop", reply_id: REPLY }])
})

test("without a connection a hole is asked for again once there is one", () => {
  const sent = []
  const line = { isConnected: false }
  const session = new ConversationSession({
    scope: SCOPE,
    view: new FakeView(),
    outbox: { acknowledge: () => null },
    send: (frame) => line.isConnected && sent.push(frame) > 0,
  })
  session.open(SCOPE)

  line.isConnected = true
  session.connected()

  assert.equal(sent.length, 1)
})

const OTHER = "44444444-4444-4444-8444-444444444444"
const updated = (fields = {}) => ({
  type: "conversation.updated",
  conversation: { id: CONVERSATION, branch: null, queue: [], deleted: false, assistant_id: ASSISTANT.id, ...fields },
})

test("a branch that is not shown here is asked for, once", () => {
  const { session, sent } = makeSession()
  session.take(state({ messages: [{ id: QUESTION, role: "user", client_message_id: null }] }))

  session.take(updated({ branch: QUESTION }))
  session.take(updated({ branch: OTHER }))
  session.take(updated({ branch: OTHER }))

  assert.deepEqual(
    sent.map(({ type }) => type),
    ["conversation.open"],
  )
})

test("a branch named by a message above the page is shown already", () => {
  const { session, sent } = makeSession()
  const conversation = { id: CONVERSATION, title: "", branch: "m3" }
  session.connected()
  session.take(state({ conversation, messages: [{ id: "m99", client_message_id: null }] }))

  session.take({
    type: "conversation.updated",
    conversation: { ...conversation, queue: [], assistant_id: ASSISTANT.id },
  })

  assert.equal(sent.length, 1)
})

test("another assistant is asked for, once its name is not the one that is shown", () => {
  const { session, sent } = makeSession()
  session.take(state())

  session.take(updated())
  session.take(updated({ assistant_id: 2 }))
  session.take(updated({ assistant_id: 2 }))

  assert.deepEqual(
    sent.map(({ type }) => type),
    ["conversation.open"],
  )
})

test("a branch that another device goes back to is asked for", () => {
  const { session, sent } = makeSession()
  const conversation = { id: CONVERSATION, title: "", branch: "m3" }
  session.connected()
  session.take(state({ conversation, messages: [{ id: "m99", client_message_id: null }] }))
  session.take({ type: "message.created", conversation_id: CONVERSATION, message_id: "m100", parent_id: "m99" })

  session.take({
    type: "conversation.updated",
    conversation: { ...conversation, queue: [], assistant_id: ASSISTANT.id },
  })

  assert.deepEqual(
    sent.map(({ type }) => type),
    ["conversation.open", "conversation.open"],
  )
})

test("a branch that our own message is about to begin is not asked for", () => {
  const { session, sent } = makeSession({ isSending: true })

  session.take(updated({ branch: OTHER }))

  assert.deepEqual(sent, [])
})

test("news of a message whose place is not shown here asks for the branch", () => {
  const { session, sent } = makeSession()
  const created = { type: "message.created", client_message_id: "c", conversation_id: CONVERSATION, text: "Hi" }

  session.take({ ...created, message_id: REPLY, parent_id: OTHER })

  assert.deepEqual(
    sent.map(({ type }) => type),
    ["conversation.open"],
  )
})

test("choosing a version hands over the cursor of the running reply, which goes on", () => {
  const { session, sent, view } = makeRunningSession()

  session.select(OTHER)
  session.take(delta(4, "d"))
  session.take(state({ reply: running({ seq: 2, blocks: [] }), recovered: true }))
  for (const frame of [delta(3, "c"), delta(4, "d")]) session.take(frame)

  const cursor = { reply_id: REPLY, epoch: "e1", after_seq: 2 }
  assert.deepEqual(sent.slice(1), [{ type: "branch.select", conversation_id: CONVERSATION, message_id: OTHER, cursor }])
  assert.equal(view.text, "abcd")
})

test("a message that waits is off our hands, and its place in the queue is shown", () => {
  const { session, view, acknowledged } = makeSession()

  session.take({ type: "message.queued", client_message_id: "c", conversation_id: CONVERSATION, text: "Later" })
  session.take(updated({ queue: [{}, {}] }))

  assert.deepEqual(acknowledged, ["c"])
  assert.deepEqual(view.told, ["queued Later", "queue of 2"])
})

test("taking a message back is asked for again after a lost connection, and its text goes to the composer once", () => {
  const { session, sent, view } = makeSession()
  const withdrawn = {
    type: "message.withdrawn",
    client_message_id: "c",
    message_id: OTHER,
    conversation_id: CONVERSATION,
  }

  session.withdraw(OTHER, { isWanted: true })
  session.connected()
  session.take({ ...withdrawn, text: "Later" })
  session.take({ ...withdrawn, text: "Later" })
  session.connected()

  assert.equal(sent.filter(({ type }) => type === "queue.withdraw").length, 2)
  assert.deepEqual(view.told, ["withdrawn Later, wanted", "withdrawn Later"])
})

test("a refusal says that the message cannot be taken back any more", () => {
  const { session, sent } = makeSession()

  session.withdraw(OTHER, { isWanted: false })

  assert.equal(session.refused(OTHER), true)
  assert.equal(session.refused(OTHER), false)
  session.connected()
  assert.equal(sent.filter(({ type }) => type === "queue.withdraw").length, 1)
})

const REFUSED = { type: "error", code: "internal_error", message: "", ref: CONVERSATION, retryable: true }
const asked = (sent) => sent.filter(({ type }) => type === "conversation.open").length

test("a state that the server cannot give now is asked for again, until it comes", () => {
  const { session, sent, time } = makeSession()
  session.connected()
  session.take(REFUSED)
  time.advance(499)
  assert.equal(asked(sent), 1)
  time.advance(1)
  assert.equal(asked(sent), 2)

  session.take(REFUSED)
  time.advance(500)
  session.take(state())
  time.advance(60_000)

  assert.equal(asked(sent), 3)
})

test("what is refused for good, or is another command, is not asked again", () => {
  const { session, sent, time } = makeSession()
  session.connected()
  session.take({ ...REFUSED, retryable: false })
  time.advance(60_000)
  session.connected()
  session.take(state())
  session.take(REFUSED)
  time.advance(60_000)

  assert.equal(asked(sent), 2)
})

test("a conversation that is no longer shown is not asked for again", () => {
  const { session, sent, time } = makeSession()
  session.connected()
  session.take(REFUSED)
  session.open(NEW_CHAT)
  session.take({ ...state(), conversation: null })
  time.advance(60_000)

  assert.equal(asked(sent), 2)
})
