import assert from "node:assert/strict"
import { test } from "node:test"

import { DraftValues } from "../../../static/js/state/draft_values.js"
import { Drafts } from "../../../static/js/state/drafts.js"
import { StoredValues } from "../../../static/js/state/stored_values.js"
import { CONVERSATION, FakeStorage, openForbidden, QUESTION } from "../fakes.js"

const SCOPE = { conversationId: CONVERSATION, assistantId: null }
const NEW_CHAT = { conversationId: null, assistantId: 1 }

function makeDrafts({ storage = new FakeStorage(), open = () => storage, user = 7 } = {}) {
  const stored = (prefix, opened = open) => new StoredValues({ open: opened, prefix: `${prefix}:${user}` })
  const session = new FakeStorage()
  const tab = stored("draft", () => session)
  const values = new DraftValues({
    shared: stored("draft"),
    tab,
    left: stored("left"),
    uuid: () => "t",
    clock: () => 0,
  })
  return new Drafts({ values, edits: stored("edit") })
}

test("a draft is kept for its conversation, over a reload", () => {
  const storage = new FakeStorage()

  makeDrafts({ storage }).save(SCOPE, "half a thought")

  assert.equal(makeDrafts({ storage }).load(SCOPE), "half a thought")
  assert.equal(makeDrafts({ storage }).load(NEW_CHAT), "")
})

test("a new chat's draft stays when another assistant is chosen", () => {
  const drafts = makeDrafts()

  drafts.save(NEW_CHAT, "for whom?")

  assert.equal(drafts.load({ conversationId: null, assistantId: 2 }), "for whom?")
})

test("an empty draft leaves nothing behind", () => {
  const storage = new FakeStorage()
  const drafts = makeDrafts({ storage })
  drafts.save(SCOPE, "x")

  drafts.save(SCOPE, "")

  assert.equal(storage.length, 0)
})

test("another account in the same browser does not see it", () => {
  const storage = new FakeStorage()
  makeDrafts({ storage }).save(SCOPE, "mine")

  assert.equal(makeDrafts({ storage, user: 8 }).load(SCOPE), "")
})

test("where storage is forbidden a draft lives as long as the page", () => {
  const drafts = makeDrafts({ open: openForbidden })

  drafts.save(SCOPE, "kept")

  assert.equal(drafts.load(SCOPE), "kept")
})

test("what is no text in the storage is no draft", () => {
  const storage = new FakeStorage()
  storage.setItem(`draft:7:${CONVERSATION}`, "{broken")

  assert.equal(makeDrafts({ storage }).load(SCOPE), "")
})

test("another version of a message that was begun is kept until it is sent or given up", () => {
  const storage = new FakeStorage()
  makeDrafts({ storage }).saveEdit(QUESTION, "a better question")

  const drafts = makeDrafts({ storage })

  assert.equal(drafts.loadEdit(QUESTION), "a better question")
  drafts.endEdit(QUESTION)
  assert.equal(drafts.loadEdit(QUESTION), null)
})
