import assert from "node:assert/strict"
import { test } from "node:test"
import { ReadMarks } from "../../../static/js/state/read_marks.js"

function make({ unread = [] } = {}) {
  const state = { isVisible: true, isConnected: true }
  const sent = []
  const send = ({ conversation_id: id }) => state.isConnected && sent.push(id) > 0
  const marks = new ReadMarks({ send, isVisible: () => state.isVisible, isUnread: (id) => unread.includes(id) })
  return { marks, sent, state }
}

test("coming to an unread conversation reads it", () => {
  const { marks, sent } = make({ unread: ["a"] })

  for (const id of ["b", null, "a"]) marks.shown(id)

  assert.deepEqual(sent, ["a"])
})

test("a reply whose end was seen is told of when the person leaves, and only then", () => {
  const { marks, sent } = make()
  marks.shown("a")
  marks.replyEnded("a")
  marks.shown("a")
  assert.deepEqual(sent, [])

  marks.shown("b")
  marks.shown("a")

  assert.deepEqual(sent, ["a"])
})

test("a new chat that has become a conversation is known by its reply", () => {
  const { marks, sent } = make()
  marks.shown(null)
  marks.replyEnded("new")

  marks.shown("b")

  assert.deepEqual(sent, ["new"])
})

test("what ends while the page is hidden is not seen until the page is", () => {
  const unread = []
  const { marks, sent, state } = make({ unread })
  marks.shown("a")
  state.isVisible = false
  marks.visibilityChanged()
  marks.replyEnded("a")
  unread.push("a")
  assert.deepEqual(sent, [])

  state.isVisible = true
  marks.visibilityChanged()

  assert.deepEqual(sent, ["a"])
})

test("hiding the page leaves the conversation; without a connection it is told later", () => {
  const { marks, sent, state } = make()
  marks.shown("a")
  marks.replyEnded("a")
  state.isConnected = false
  state.isVisible = false
  marks.visibilityChanged()
  state.isConnected = true
  marks.visibilityChanged()
  marks.visibilityChanged()

  assert.deepEqual(sent, ["a"])
})
