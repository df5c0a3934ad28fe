import assert from "node:assert/strict"
import { test } from "node:test"

import * as protocol from "../../../static/js/transport/protocol.js"
import { CONVERSATION, REPLY } from "../fakes.js"

const CONVERSATION_SCOPE = { conversationId: CONVERSATION, assistantId: null }
const NEW_CHAT = { conversationId: null, assistantId: 3 }

test("a frame about a conversation names only the conversation", () => {
  assert.deepEqual(protocol.typingStarted(CONVERSATION_SCOPE, 5), {
    type: "typing.started",
    conversation_id: CONVERSATION,
    chars: 5,
    attachment_ids: [],
    edit_of: null,
  })
  assert.equal(protocol.typingStarted(CONVERSATION_SCOPE, 5, [], "m1").edit_of, "m1")
})

test("a frame about a new chat names its assistant", () => {
  assert.deepEqual(protocol.conversationOpen(NEW_CHAT), {
    type: "conversation.open",
    conversation_id: null,
    assistant_id: 3,
  })
})

test("a cursor goes along where there is one", () => {
  const cursor = { reply_id: REPLY, epoch: "e1", after_seq: 4 }

  assert.deepEqual(protocol.conversationOpen(CONVERSATION_SCOPE, cursor).cursor, cursor)
})

test("the time to first token goes along once it is known", () => {
  assert.equal("ttft_ms" in protocol.replySeen(REPLY, 4), false)
  assert.equal(protocol.replySeen(REPLY, 4, 412.5).ttft_ms, 412.5)
})

test("what is no frame is null, and not an exception", () => {
  for (const text of ["", "{", "null", "[]", "3", '{"type": 4}', "{}"]) assert.equal(protocol.parseFrame(text), null)
})

test("a frame of a type that this page does not know is a frame all the same", () => {
  assert.equal(protocol.parseFrame('{"type": "later.invention"}').type, "later.invention")
})

test("a page comes back after a restart and stays away when it was sent away", () => {
  const { CloseCode, mayReconnectAfter } = protocol

  for (const code of [CloseCode.restarting, CloseCode.lifetime, CloseCode.tooSlow, 1006, 1001]) {
    assert.equal(mayReconnectAfter(code), true, `after ${code}`)
  }
  for (const code of [CloseCode.signedOut, CloseCode.forbidden, CloseCode.abuse]) {
    assert.equal(mayReconnectAfter(code), false, `after ${code}`)
  }
})

test("warmth of an assistant is about a new chat with it, and about nothing else", () => {
  const warmth = { type: "warmth", assistant_id: 3 }

  assert.equal(protocol.isAbout(warmth, NEW_CHAT), true)
  assert.equal(protocol.isAbout(warmth, { conversationId: null, assistantId: 4 }), false)
  assert.equal(protocol.isAbout(warmth, CONVERSATION_SCOPE), false)
})
