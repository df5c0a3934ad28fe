import assert from "node:assert/strict"
import { test } from "node:test"

import { charsTooMany, isLong, tooManyText } from "../../../static/js/text/text_limit.js"

const LIMITS = { text_chars: 100_000, frame_bytes: 262_144 }

test("a text up to the limit fits", () => {
  assert.equal(charsTooMany("", LIMITS), 0)
  assert.equal(charsTooMany("a".repeat(100_000), LIMITS), 0)
})

test("what is over is counted", () => {
  assert.equal(charsTooMany("a".repeat(100_003), LIMITS), 3)
})

test("a character outside the basic plane counts once, as the server counts it", () => {
  assert.equal(charsTooMany("\u{1F525}".repeat(60_000), LIMITS), 0)
})

test("a text that fits in characters but not in the frame's bytes is too long as well", () => {
  assert.ok(charsTooMany("漢".repeat(99_000), LIMITS) > 0)
  assert.equal(charsTooMany("漢".repeat(80_000), LIMITS), 0)
})

test("what is too much is told, and nothing else", () => {
  assert.equal(tooManyText(0), "")
  assert.equal(tooManyText(1234), "1,234 characters too many to send")
})

test("a long message is one of many characters or many lines", () => {
  assert.equal(isLong("x".repeat(1500)), false)
  assert.equal(isLong("x".repeat(1501)), true)
  assert.equal(isLong("x\n".repeat(14)), false)
  assert.equal(isLong("x\n".repeat(15)), true)
})
