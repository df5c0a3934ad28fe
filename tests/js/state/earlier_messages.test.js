import assert from "node:assert/strict"
import { test } from "node:test"

import { EarlierMessages } from "../../../static/js/state/earlier_messages.js"
import { CONVERSATION } from "../fakes.js"

const OTHER = "99999999-9999-4999-8999-999999999999"

function makeEarlier({ isConnected = true } = {}) {
  const sent = []
  const told = []
  const send = (frame) => isConnected && sent.push(frame) > 0
  return { earlier: new EarlierMessages({ send, onChange: (now) => told.push(now) }), sent, told }
}

const page = (fields = {}) => ({
  type: "history.page",
  conversation_id: CONVERSATION,
  before: "m50",
  messages: [{ id: "m20" }, { id: "m21" }],
  earlier: 20,
  ...fields,
})

test("a page that is whole asks for nothing", () => {
  const { earlier, sent, told } = makeEarlier()
  earlier.show({ conversationId: CONVERSATION, oldestId: "m0", count: 0 })

  assert.equal(earlier.want(), false)
  assert.deepEqual(sent, [])
  assert.deepEqual(told, [{ count: 0, isLoading: false }])
})

test("what stands before the oldest message is asked for once, however often it is wanted", () => {
  const { earlier, sent, told } = makeEarlier()
  earlier.show({ conversationId: CONVERSATION, oldestId: "m50", count: 50 })

  assert.deepEqual([earlier.want(), earlier.want()], [true, true])

  assert.deepEqual(sent, [{ type: "history.load", conversation_id: CONVERSATION, before: "m50" }])
  assert.deepEqual(told.at(-1), { count: 50, isLoading: true })
})

test("the next part is asked for from where the last one began", () => {
  const { earlier, sent, told } = makeEarlier()
  earlier.show({ conversationId: CONVERSATION, oldestId: "m50", count: 50 })
  earlier.want()

  assert.equal(earlier.take(page()), true)
  assert.deepEqual(told.at(-1), { count: 20, isLoading: false })
  earlier.want()

  assert.equal(sent[1].before, "m20")
})

test("a part that nobody waits for any more is not shown", () => {
  const { earlier } = makeEarlier()
  earlier.show({ conversationId: CONVERSATION, oldestId: "m50", count: 50 })
  earlier.want()

  assert.equal(earlier.take(page({ conversation_id: OTHER })), false)
  assert.equal(earlier.take(page({ before: "m40" })), false)
  earlier.show({ conversationId: OTHER, oldestId: "m50", count: 50 })
  assert.equal(earlier.take(page()), false)
})

test("the same part is taken once", () => {
  const { earlier } = makeEarlier()
  earlier.show({ conversationId: CONVERSATION, oldestId: "m50", count: 50 })
  earlier.want()
  earlier.take(page())

  assert.equal(earlier.take(page()), false)
})

test("after a lost answer it can be asked for again", () => {
  const { earlier, sent } = makeEarlier()
  earlier.show({ conversationId: CONVERSATION, oldestId: "m50", count: 50 })
  earlier.want()

  earlier.lost()
  earlier.want()

  assert.equal(sent.length, 2)
})

test("without a connection nothing is on its way", () => {
  const { earlier, told } = makeEarlier({ isConnected: false })
  earlier.show({ conversationId: CONVERSATION, oldestId: "m50", count: 50 })

  assert.equal(earlier.want(), false)
  assert.deepEqual(told.at(-1), { count: 50, isLoading: false })
})

test("an empty part is the last one", () => {
  const { earlier, told } = makeEarlier()
  earlier.show({ conversationId: CONVERSATION, oldestId: "m50", count: 50 })
  earlier.want()

  earlier.take(page({ messages: [] }))

  assert.deepEqual(told.at(-1), { count: 0, isLoading: false })
})
