import assert from "node:assert/strict"
import { test } from "node:test"

import { blockTitle, inputText, resultText } from "../../../static/js/text/block_words.js"

const block = (fields) => ({ kind: "thinking", name: "", isFinished: true, tookMs: null, ...fields })

test("thinking tells how long it took, where that was measured", () => {
  assert.equal(blockTitle(block({ isFinished: false })), "Thinking…")
  assert.equal(blockTitle(block({})), "Thought")
  assert.equal(blockTitle(block({ tookMs: 200 })), "Thought for 1 s")
  assert.equal(blockTitle(block({ tookMs: 12_400 })), "Thought for 12 s")
  assert.equal(blockTitle(block({ tookMs: 95_000 })), "Thought for 1 min 35 s")
})

test("a call tells its tool", () => {
  assert.equal(blockTitle(block({ kind: "tool_input", isFinished: false })), "Calling a tool…")
  assert.equal(blockTitle(block({ kind: "tool_input", name: "web_search" })), "Called a tool (web_search)")
})

test("what the chat told the model has a title of its own", () => {
  assert.equal(blockTitle(block({ kind: "note" })), "What the chat told the model")
})

test("an input is laid out if it is whole", () => {
  assert.equal(inputText('{"query":"ships"}'), '{\n  "query": "ships"\n}')
  assert.equal(inputText('{"query":"sh'), '{"query":"sh')
})

test("a result tells pages, texts, failures, and anything else as it is", () => {
  const page = { type: "web_search_result", url: "https://a.example/", title: "A" }

  assert.equal(resultText({ content: [page, page] }), "A\n  https://a.example/\nA\n  https://a.example/")
  assert.equal(resultText({ content: "plain" }), "plain")
  assert.equal(resultText({ content: [{ type: "text", text: "said" }] }), "said")
  assert.equal(resultText({ content: { type: "x", error_code: "max_uses_exceeded" } }), "It failed: max uses exceeded.")
  assert.equal(resultText({ content: { type: "code", return_code: 0 } }), '{\n  "type": "code",\n  "return_code": 0\n}')
  assert.equal(resultText({ is_cut: true }), "The result is too long to be shown.")
  assert.equal(resultText({}), "")
})

test("a call that waits for its person, or was not allowed, is not called a call", () => {
  const titles = ["asked", "declined", null].map((consent) =>
    blockTitle({ kind: "tool_input", name: "look_up", isFinished: true, tookMs: null, consent }),
  )

  assert.deepEqual(titles, [
    "Wants to call a tool (look_up)",
    "Did not call a tool (look_up)",
    "Called a tool (look_up)",
  ])
})
