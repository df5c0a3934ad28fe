import assert from "node:assert/strict"
import { test } from "node:test"

import { earlierText, firstWords } from "../../../static/js/text/conversation_words.js"

test("a title is the first line, cut where it is long", () => {
  assert.equal(firstWords("  Why?\nBecause.", 60), "Why?")
  assert.equal(firstWords("x".repeat(60), 60), "x".repeat(60))
  assert.equal(firstWords("x".repeat(61), 60), `${"x".repeat(59)}…`)
})

test("a title is made of words, also where a message begins with code or a list", () => {
  for (const [text, title] of [
    ["```python\nprint(1)\n```\nWhy does it fail?", "Why does it fail?"],
    ["```python\n\nprint(1)\n```", "print(1)"],
    ["## **Plan** for `today`", "Plan for today"],
    ["> - see [the page](https://example.org/a)", "see the page"],
    ["---\nAfter the rule", "After the rule"],
    ["重要：**注意**", "重要：注意"],
    ["???", "???"],
    ["```", ""],
  ]) {
    assert.equal(firstWords(text, 60), title)
  }
})

test("one message is not told as many", () => {
  assert.equal(earlierText(1), "1 earlier message is shown.")
  assert.equal(earlierText(50), "50 earlier messages are shown.")
})
