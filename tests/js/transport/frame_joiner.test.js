import assert from "node:assert/strict"
import { test } from "node:test"

import { FrameJoiner } from "../../../static/js/transport/frame_joiner.js"

const partsOf = (frame, { number = 1, count = 3 } = {}) => {
  const text = JSON.stringify(frame)
  const size = Math.ceil(text.length / count)
  return Array.from({ length: count }, (_, index) => ({
    type: "frame.part",
    frame: number,
    part: index + 1,
    parts: count,
    text: text.slice(index * size, (index + 1) * size),
  }))
}

test("a frame that came whole goes on at once", () => {
  const frame = { type: "pong" }

  assert.deepEqual(new FrameJoiner().take(frame, 15), { frame, bytes: 15 })
})

test("a frame in parts is there with its last part, and counts as all of them", () => {
  const joiner = new FrameJoiner()
  const frame = { type: "conversation.state", messages: [{ text: 'a "quoted" \\ word, 世界' }] }

  const results = partsOf(frame).map((part) => joiner.take(part, 100))

  assert.deepEqual(results, [null, null, { frame, bytes: 300 }])
})

test("other frames may come between the parts, and parts of two frames may mix", () => {
  const joiner = new FrameJoiner()
  const [one, two] = [
    { type: "history.page", n: 1 },
    { type: "history.page", n: 2 },
  ]
  const [ofOne, ofTwo] = [partsOf(one, { number: 1 }), partsOf(two, { number: 2 })]

  const mixed = [ofOne[0], ofTwo[0], { type: "reply.delta" }, ofOne[1], ofTwo[1], ofTwo[2], ofOne[2]]
  const whole = mixed.map((each) => joiner.take(each, 1)).filter((each) => each !== null)

  assert.deepEqual(
    whole.map(({ frame }) => frame),
    [{ type: "reply.delta" }, two, one],
  )
})

test("parts that make no frame are dropped", () => {
  const broken = { type: "frame.part", frame: 1, part: 1, parts: 1, text: "{broken" }

  assert.equal(new FrameJoiner().take(broken, 1), null)
})
