import assert from "node:assert/strict"
import { test } from "node:test"

import { queuedText, queueStates } from "../../../static/js/text/queue_words.js"

test("the first message that is free to go waits for the reply, the others for the one before", () => {
  const states = queueStates([{ is_held: false }, { is_held: false }])

  assert.deepEqual(states, ["Sent when this reply is done", "Sent after the one before it"])
})

test("held messages stand aside: the next one waits for the reply itself", () => {
  const states = queueStates([{ is_held: true }, { is_held: false }])

  assert.match(states[0], /^Not sent/)
  assert.equal(states[1], "Sent when this reply is done")
})

test("a text that came cut says so", () => {
  assert.equal(queuedText({ text: "abc", chars: 3 }), "abc")
  assert.equal(queuedText({ text: "abc", chars: 4 }), "abc…")
})

test("a message that a limit holds says which", () => {
  const [state] = queueStates([{ is_held: true, held_because: "You may send 60 messages a day." }])

  assert.equal(state, "Not sent yet. You may send 60 messages a day.")
})
