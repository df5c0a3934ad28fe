import assert from "node:assert/strict"
import { test } from "node:test"

import { WholeConversation } from "../../../static/js/state/whole_conversation.js"

/** A conversation with so many parts before the page; `deliver()` brings the one that is on its way. */
function makeWhole({ parts, isConnected = true }) {
  const events = []
  const delayed = []
  let left = parts
  const whole = new WholeConversation({
    want: () => {
      const isComing = isConnected && left > 0
      if (isComing) events.push("asked")
      if (isComing) whole.changed({ count: left, isLoading: true })
      return isComing
    },
    later: (callback) => delayed.push(callback),
    onWhole: () => events.push("printed"),
  })
  const settle = () => {
    while (delayed.length > 0) delayed.shift()()
  }
  const deliver = () => {
    left -= 1
    whole.changed({ count: left, isLoading: false })
    settle()
  }
  return { whole, events, deliver, settle }
}

test("what is whole is printed at once", () => {
  const { whole, events, settle } = makeWhole({ parts: 0 })

  whole.fetch()
  settle()

  assert.deepEqual(events, ["printed"])
})

test("all earlier parts come first", () => {
  const { whole, events, deliver, settle } = makeWhole({ parts: 2 })

  whole.fetch()
  settle()
  deliver()
  deliver()

  assert.deepEqual(events, ["asked", "asked", "printed"])
})

test("without a connection what is there is printed", () => {
  const { whole, events, settle } = makeWhole({ parts: 2, isConnected: false })

  whole.fetch()
  settle()

  assert.deepEqual(events, ["printed"])
})

test("a reader who scrolls up prints nothing", () => {
  const { events, deliver } = makeWhole({ parts: 2 })

  deliver()

  assert.deepEqual(events, [])
})
