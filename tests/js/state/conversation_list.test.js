import assert from "node:assert/strict"
import { test } from "node:test"
import { ConversationList } from "../../../static/js/state/conversation_list.js"

const NOW = new Date(2026, 10, 28, 10, 0).getTime()
const hoursAgo = (hours) => new Date(NOW - hours * 3_600_000).toISOString()
const listed = (id, hours, more = {}) => ({ id, title: id, updated_at: hoursAgo(hours), ...more })

function make({ conversations = [], next = null, isConnected = true } = {}) {
  const sent = []
  const state = { isConnected }
  const send = (frame) => state.isConnected && sent.push(frame) > 0
  return { list: new ConversationList({ conversations, next, send, clock: () => NOW }), sent, state }
}

const shown = (list) =>
  list.groups().map(({ heading, conversations }) => [heading, ...conversations.map(({ id }) => id)])

test("what is pinned comes first, the rest by time", () => {
  const { list } = make({ conversations: [listed("old", 30), listed("new", 1), listed("pin", 300, { pinned: true })] })

  assert.deepEqual(shown(list), [
    ["Pinned", "pin"],
    ["Today", "new"],
    ["Yesterday", "old"],
  ])

  list.update(listed("old", 0))
  assert.deepEqual(shown(list), [
    ["Pinned", "pin"],
    ["Today", "old", "new"],
  ])
})

test("the archive is asked for when it is first shown, and has its own conversations", () => {
  const { list, sent } = make({ conversations: [listed("a", 1)] })
  assert.equal(list.hasMore, false)

  list.turnTo("archive")
  list.turnTo("archive")
  list.take({ shelf: "archive", before: null, conversations: [listed("b", 2, { archived: true })], next: null })

  assert.deepEqual(sent, [{ type: "conversations.load", shelf: "archive", before: null }])
  assert.deepEqual(shown(list), [["Today", "b"]])
  list.turnTo("list")
  assert.deepEqual(shown(list), [["Today", "a"]])
})

test("each part is asked for once, after a lost connection again", () => {
  const { list, sent, state } = make({ conversations: [listed("a", 1)], next: "p1" })

  list.want()
  list.want()
  assert.deepEqual(
    sent.map(({ before }) => before),
    ["p1"],
  )
  list.connected()
  list.want()
  list.take({ shelf: "list", before: "p1", conversations: [listed("b", 2)], next: "p2" })
  state.isConnected = false
  list.want()
  state.isConnected = true
  list.want()

  assert.deepEqual(
    sent.map(({ before }) => before),
    ["p1", "p1", "p2"],
  )
  list.take({ shelf: "list", before: "p2", conversations: [], next: null })
  assert.equal(list.hasMore, false)
})

test("a deleted conversation is gone, a restored one is back", () => {
  const { list } = make({ conversations: [listed("a", 1)] })

  list.update({ id: "a", deleted: true })
  assert.equal(list.get("a"), null)
  assert.deepEqual(shown(list), [])

  list.update(listed("a", 1))
  assert.deepEqual(shown(list), [["Today", "a"]])
})

test("a temporary conversation is on no shelf, but has its title", () => {
  const { list } = make({ conversations: [listed("a", 1)] })

  list.update(listed("secret", 0, { temporary: true }))

  assert.deepEqual(shown(list), [["Today", "a"]])
  assert.equal(list.get("secret").title, "secret")
  list.turnTo("archive")
  assert.deepEqual(shown(list), [])
})
