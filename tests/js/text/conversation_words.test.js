import assert from "node:assert/strict"
import { test } from "node:test"

import { earlierText, firstWords } from "../../../static/js/text/conversation_words.js"

test("a title is the first line, cut where it is long", () => {
  assert.equal(firstWords("  Why?\nBecause.", 60), "Why?")
  assert.equal(firstWords("x".repeat(60), 60), "x".repeat(60))
  assert.equal(firstWords("x".repeat(61), 60), `${"x".repeat(59)}…`)
})

test("one message is not told as many", () => {
  assert.equal(earlierText(1), "1 earlier message is shown.")
  assert.equal(earlierText(50), "50 earlier messages are shown.")
})
