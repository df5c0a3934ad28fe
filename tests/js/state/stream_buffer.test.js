import assert from "node:assert/strict"
import { test } from "node:test"

import { StreamBuffer } from "../../../static/js/state/stream_buffer.js"
import { delta, finished, REPLY } from "../fakes.js"

const makeBuffer = (fields = {}) => new StreamBuffer({ replyId: REPLY, epoch: "e1", ...fields })

test("deltas become the text of their block", () => {
  const buffer = makeBuffer()

  const outcomes = [delta(1, "Hel"), delta(2, "lo"), delta(3, "think", { block: 1, kind: "thinking" })].map((frame) =>
    buffer.apply(frame),
  )

  assert.deepEqual(outcomes, ["applied", "applied", "applied"])
  assert.deepEqual(
    buffer.blocks.map(({ kind, text }) => `${kind}: ${text}`),
    ["text: Hello", "thinking: think"],
  )
})

test("a frame that was seen is dropped", () => {
  const buffer = makeBuffer()
  buffer.apply(delta(1, "once"))

  assert.equal(buffer.apply(delta(1, "once")), "duplicate")
  assert.equal(buffer.blocks[0].text, "once")
})

test("a hole is told, and nothing behind it is taken", () => {
  const buffer = makeBuffer()
  buffer.apply(delta(1, "a"))

  assert.equal(buffer.apply(delta(3, "c")), "gap")
  assert.equal(buffer.blocks[0].text, "a")
  assert.equal(buffer.cursor.after_seq, 1)
})

test("the missing frames close a hole", () => {
  const buffer = makeBuffer()
  for (const frame of [delta(1, "a"), delta(3, "c"), delta(2, "b"), delta(3, "c"), delta(4, "d")]) buffer.apply(frame)

  assert.equal(buffer.blocks[0].text, "abcd")
})

test("another epoch is a hole, whatever its number", () => {
  const buffer = makeBuffer()

  assert.equal(buffer.apply(delta(1, "a", { epoch: "e2" })), "gap")
})

test("a snapshot is gone on with from its own number", () => {
  const snapshot = {
    reply_id: REPLY,
    epoch: "e2",
    seq: 7,
    blocks: [{ block: 0, kind: "text", name: "", text: "so far", state: "start" }],
  }
  const buffer = StreamBuffer.fromSnapshot(snapshot)

  assert.equal(buffer.apply(delta(7, "old", { epoch: "e2" })), "duplicate")
  assert.equal(buffer.apply(delta(8, ", and on", { epoch: "e2" })), "applied")
  assert.equal(buffer.blocks[0].text, "so far, and on")
  assert.equal(snapshot.blocks[0].text, "so far")
})

test("the cursor says how far this page has come", () => {
  const buffer = makeBuffer()
  buffer.apply(delta(1, "a"))

  assert.deepEqual(buffer.cursor, { reply_id: REPLY, epoch: "e1", after_seq: 1 })
})

test("blocks keep their name and state, and what is told at their end", () => {
  const buffer = makeBuffer()
  const block = {
    type: "reply.block",
    reply_id: REPLY,
    epoch: "e1",
    block: 0,
    kind: "tool_input",
    name: "look_up",
    data: null,
  }

  buffer.apply({ ...block, seq: 1, state: "start" })
  buffer.apply(delta(2, "{}", { kind: "tool_input" }))
  buffer.apply({ ...block, seq: 3, name: "", state: "stop", data: { id: "toolu_1" } })

  assert.deepEqual(buffer.blocks, [
    { block: 0, kind: "tool_input", name: "look_up", text: "{}", state: "stop", data: { id: "toolu_1" } },
  ])
})

test("the end is the end", () => {
  const buffer = makeBuffer()

  buffer.apply(finished(1))

  assert.equal(buffer.isFinished, true)
})
