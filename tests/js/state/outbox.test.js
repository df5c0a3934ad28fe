import assert from "node:assert/strict"
import { test } from "node:test"

import { Outbox } from "../../../static/js/state/outbox.js"
import { StoredValues } from "../../../static/js/state/stored_values.js"
import { CONVERSATION, FakeStorage, FakeTime, TIMINGS } from "../fakes.js"

const SCOPE = { conversationId: CONVERSATION, assistantId: null }

function makeOutbox({ storage = new FakeStorage(), time = new FakeTime(), isConnected = true } = {}) {
  const sent = []
  const changes = []
  const line = { isConnected }
  let count = 0
  const outbox = new Outbox({
    values: new StoredValues({ open: () => storage, prefix: "outbox" }),
    timers: time.timers,
    clock: time.clock,
    uuid: () => `message-${++count}`,
    ackTimeoutMs: TIMINGS.ack_timeout_ms,
    transmit: (frame) => line.isConnected && sent.push(frame) > 0,
    onChange: ({ clientMessageId, state, reason }) => changes.push([clientMessageId, state, reason]),
  })
  return { outbox, sent, changes, line, time, storage }
}

test("a message goes out at once and waits until it is acknowledged", () => {
  const { outbox, sent } = makeOutbox()

  const entry = outbox.add({ scope: SCOPE, text: "Hello" })

  assert.deepEqual(
    sent.map(({ client_message_id, text }) => [client_message_id, text]),
    [["message-1", "Hello"]],
  )
  assert.equal(entry.state, "sending")
  assert.equal(outbox.acknowledge("message-1").text, "Hello")
  assert.equal(outbox.has("message-1"), false)
})

test("without a connection nothing is lost: messages go out in order once there is one", () => {
  const { outbox, sent, line } = makeOutbox({ isConnected: false })
  outbox.add({ scope: SCOPE, text: "one" })
  outbox.add({ scope: SCOPE, text: "two" })

  line.isConnected = true
  outbox.connected()

  assert.deepEqual(
    sent.map(({ text }) => text),
    ["one", "two"],
  )
})

test("after a reconnect a message is sent again under the same id", () => {
  const { outbox, sent } = makeOutbox()
  outbox.add({ scope: SCOPE, text: "Hello" })

  outbox.disconnected()
  outbox.connected()

  assert.deepEqual(
    sent.map(({ client_message_id }) => client_message_id),
    ["message-1", "message-1"],
  )
})

test("an acknowledged message is not sent again", () => {
  const { outbox, sent } = makeOutbox()
  outbox.add({ scope: SCOPE, text: "Hello" })
  outbox.acknowledge("message-1")

  outbox.connected()

  assert.equal(sent.length, 1)
})

test("a message that nobody answers is marked as not sent", () => {
  const { outbox, changes, time } = makeOutbox()
  outbox.add({ scope: SCOPE, text: "Hello" })

  time.advance(TIMINGS.ack_timeout_ms)

  assert.deepEqual(changes, [["message-1", "failed", "The server did not answer."]])
})

test("while there is no connection a message waits for as long as it takes", () => {
  const { outbox, changes, time } = makeOutbox()
  outbox.add({ scope: SCOPE, text: "Hello" })

  outbox.disconnected()
  time.advance(3_600_000)

  assert.deepEqual(changes, [])
})

test("a refused message is kept and can be tried again under the same id", () => {
  const { outbox, sent, changes } = makeOutbox()
  outbox.add({ scope: SCOPE, text: "Hello" })

  outbox.fail("message-1", "Too many messages.")
  outbox.retry("message-1")

  assert.deepEqual(
    changes.map(([, state]) => state),
    ["failed", "sending"],
  )
  assert.deepEqual(
    sent.map(({ client_message_id }) => client_message_id),
    ["message-1", "message-1"],
  )
})

test("a failed message is not sent behind the person's back", () => {
  const { outbox, sent } = makeOutbox()
  outbox.add({ scope: SCOPE, text: "Hello" })
  outbox.fail("message-1", "No.")

  outbox.connected()

  assert.equal(sent.length, 1)
})

test("a reload finds what was on its way, and sends it under the same id", () => {
  const { storage, outbox: before, time } = makeOutbox({ isConnected: false })
  before.add({ scope: SCOPE, text: "one" })
  time.advance(1)
  before.add({ scope: SCOPE, text: "two" })

  const { outbox, sent } = makeOutbox({ storage, time })
  outbox.connected()

  assert.deepEqual(
    sent.map(({ client_message_id, text }) => [client_message_id, text]),
    [
      ["message-1", "one"],
      ["message-2", "two"],
    ],
  )
})

test("what was left behind long ago waits for the person's word", () => {
  const { storage, outbox: before, time } = makeOutbox({ isConnected: false })
  before.add({ scope: SCOPE, text: "yesterday's" })
  time.advance(11 * 60_000)

  const { outbox, sent } = makeOutbox({ storage, time })
  outbox.connected()

  assert.deepEqual(sent, [])
  assert.equal(outbox.entriesFor(SCOPE)[0].state, "failed")
})

test("a discarded message gives its text back and is gone", () => {
  const { outbox, storage } = makeOutbox({ isConnected: false })
  outbox.add({ scope: SCOPE, text: "Hello" })

  assert.equal(outbox.discard("message-1").text, "Hello")
  assert.deepEqual(outbox.entriesFor(SCOPE), [])
  assert.equal(storage.length, 0)
})

test("messages of another conversation are not listed here", () => {
  const { outbox } = makeOutbox()
  outbox.add({ scope: { conversationId: null, assistantId: 1 }, text: "new" })

  assert.deepEqual(outbox.entriesFor(SCOPE), [])
  assert.equal(outbox.entriesFor({ conversationId: null }).length, 1)
})

test("a stranger's acknowledgement is nobody's", () => {
  const { outbox } = makeOutbox()

  assert.equal(outbox.acknowledge("unknown"), null)
})

test("files go with their message, also from an outbox that knew none", () => {
  const storage = new FakeStorage()
  const { outbox, sent } = makeOutbox({ storage })
  outbox.add({ scope: SCOPE, text: "", attachments: [{ id: "file-1", name: "notes.md" }] })
  const { attachments, ...older } = outbox.add({ scope: SCOPE, text: "older" })
  storage.setItem("outbox:message-2", JSON.stringify(older))

  const again = makeOutbox({ storage })
  again.outbox.connected()

  assert.deepEqual(sent[0].attachment_ids, ["file-1"])
  assert.deepEqual(
    again.sent.map(({ attachment_ids }) => attachment_ids),
    [["file-1"], []],
  )
})
