import assert from "node:assert/strict"
import { test } from "node:test"

import { AttachmentUploads } from "../../../static/js/state/attachment_uploads.js"
import { DraftValues } from "../../../static/js/state/draft_values.js"
import { StoredValues } from "../../../static/js/state/stored_values.js"
import { CONVERSATION, FakeStorage } from "../fakes.js"

const NEW_CHAT = { conversationId: null, assistantId: 1 }
const SCOPE = { conversationId: CONVERSATION, assistantId: null }
const KEPT_MS = 1000
const FILE = { name: "notes.md", size: 10 }

/** Uploads whose answers the test gives, in the order of sending. */
function makeUploads({ maxCount = 20, storage = new FakeStorage(), session = new FakeStorage(), now = () => 0 } = {}) {
  const stored = (prefix, opened) => new StoredValues({ open: () => opened, prefix })
  const values = new DraftValues({
    shared: stored("files", storage),
    tab: stored("files", session),
    left: stored("left", storage),
    uuid: () => "t",
    clock: now,
  })
  const asked = []
  const removed = []
  const changes = []
  const ready = []
  const uploads = new AttachmentUploads({
    requests: {
      upload: (file) => new Promise((answer) => asked.push({ file, answer })),
      remove: (id) => removed.push(id),
    },
    maxBytes: 2 ** 20,
    maxTotalBytes: 2 ** 20,
    maxCount,
    onChange: (scope) => changes.push(scope.conversationId),
    onReady: (scope, { name }) => ready.push([scope.conversationId, name]),
    values,
    clock: now,
    keptMs: KEPT_MS,
  })
  const answer = async (place, value) => {
    asked[place].answer(value)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { uploads, asked, removed, changes, ready, answer }
}

const states = (uploads, scope) => uploads.entries(scope).map(({ name, state }) => [name, state])

test("a file is on its way, and then it goes with the message", async () => {
  const { uploads, ready, answer } = makeUploads()

  uploads.add(SCOPE, [FILE])
  const before = [states(uploads, SCOPE), uploads.isBusy(SCOPE), uploads.ids(SCOPE)]
  await answer(0, { id: "a", name: "notes.md" })

  assert.deepEqual(before, [[["notes.md", "uploading"]], true, []])
  assert.deepEqual(ready, [[CONVERSATION, "notes.md"]])
  assert.deepEqual(uploads.take(SCOPE), [{ id: "a", name: "notes.md" }])
  assert.deepEqual(uploads.entries(SCOPE), [])
})

test("what the server refuses says why and does not go with the message", async () => {
  const { uploads, ready, answer } = makeUploads()

  uploads.add(SCOPE, [FILE])
  await answer(0, { message: "This PDF cannot be read." })

  assert.deepEqual(
    uploads.entries(SCOPE).map(({ state, message }) => [state, message]),
    [["failed", "This PDF cannot be read."]],
  )
  assert.deepEqual([ready, uploads.ids(SCOPE), uploads.isBusy(SCOPE)], [[], [], false])
})

test("what is too large or too much is refused before it is sent", () => {
  const { uploads, asked } = makeUploads({ maxCount: 1 })

  uploads.add(SCOPE, [{ name: "film.txt", size: 2 ** 20 + 1 }, FILE, { ...FILE, name: "more.md" }])

  assert.deepEqual(
    asked.map(({ file }) => file.name),
    ["notes.md"],
  )
  assert.deepEqual(
    uploads.entries(SCOPE).map(({ message }) => message),
    ["A file may have at most 1 MB.", null, "At most 1 files go with one message."],
  )
})

test("what is taken back is forgotten by the server, also when it was still on its way", async () => {
  const { uploads, removed, answer } = makeUploads()
  uploads.add(SCOPE, [FILE, FILE])
  await answer(0, { id: "a", name: "notes.md" })
  const [there, underWay] = uploads.entries(SCOPE)

  uploads.remove(SCOPE, there.key)
  uploads.remove(SCOPE, underWay.key)
  uploads.remove(SCOPE, 99)
  await answer(1, { id: "b", name: "notes.md" })

  assert.deepEqual(removed, ["a", "b"])
  assert.deepEqual(uploads.entries(SCOPE), [])
})

test("each draft has files of its own, and those of a new chat go along with it", async () => {
  const { uploads, ready, answer } = makeUploads()
  uploads.add(NEW_CHAT, [FILE])

  uploads.move(NEW_CHAT, SCOPE)
  await answer(0, { id: "a", name: "notes.md" })

  assert.deepEqual([uploads.ids(NEW_CHAT), uploads.ids(SCOPE)], [[], ["a"]])
  assert.deepEqual(ready, [[CONVERSATION, "notes.md"]])
})

test("what was taken and not sent is put back before what came since", async () => {
  const { uploads, answer } = makeUploads()
  uploads.add(SCOPE, [FILE])
  await answer(0, { id: "new", name: "notes.md" })

  uploads.putBack(SCOPE, [{ id: "old", name: "old.md" }])

  assert.deepEqual(uploads.ids(SCOPE), ["old", "new"])
})

test("files that hold too much together are refused before the upload, whatever each holds", async () => {
  const { uploads, asked, answer } = makeUploads()

  uploads.add(SCOPE, [{ name: "first.md", size: 2 ** 19 }])
  await answer(0, { id: "a", name: "first.md", bytes: 2 ** 19 })
  uploads.add(SCOPE, [{ name: "second.md", size: 2 ** 19 + 1 }])
  uploads.add(SCOPE, [{ name: "third.md", size: 2 ** 19 }])

  assert.deepEqual(states(uploads, SCOPE), [
    ["first.md", "ready"],
    ["second.md", "failed"],
    ["third.md", "uploading"],
  ])
  assert.equal(
    uploads.entries(SCOPE)[1].message,
    "The files of one message may hold at most 1 MB of text and pictures together.",
  )
  assert.equal(asked.length, 2)
})

test("a PDF whose text turns out to be too much is taken back", async () => {
  const { uploads, removed, ready, answer } = makeUploads()

  uploads.add(SCOPE, [{ name: "book.pdf", size: 2 ** 20, type: "application/pdf" }])
  await answer(0, { id: "a", name: "book.pdf", bytes: 2 ** 20 + 1 })

  assert.deepEqual(states(uploads, SCOPE), [["book.pdf", "failed"]])
  assert.deepEqual([removed, ready], [["a"], []])
})

test("what the server has is kept over a reload, as long as the server keeps it", async () => {
  const [storage, session] = [new FakeStorage(), new FakeStorage()]
  const before = makeUploads({ storage, session })
  before.uploads.add(SCOPE, [FILE])
  before.uploads.add(NEW_CHAT, [{ ...FILE, name: "new.md" }])
  before.uploads.add(SCOPE, [{ ...FILE, name: "on its way.md" }])
  await before.answer(0, { id: "a", name: "notes.md", bytes: 10 })
  await before.answer(1, { id: "b", name: "new.md", bytes: 10 })

  const after = makeUploads({ storage, session })
  const late = makeUploads({ storage, session, now: () => KEPT_MS })

  assert.deepEqual(states(after.uploads, SCOPE), [["notes.md", "ready"]])
  assert.deepEqual(after.uploads.ids(NEW_CHAT), ["b"])
  assert.deepEqual(late.uploads.entries(SCOPE), [])
})

test("what was sent does not come back, nor what another tab attaches meanwhile", async () => {
  const storage = new FakeStorage()
  const one = makeUploads({ storage })
  const other = makeUploads({ storage })
  assert.deepEqual(other.uploads.ids(SCOPE), [])
  one.uploads.add(SCOPE, [FILE])
  await one.answer(0, { id: "a", name: "notes.md", bytes: 10 })

  assert.deepEqual(other.uploads.ids(SCOPE), [])
  one.uploads.take(SCOPE)
  assert.deepEqual(makeUploads({ storage }).uploads.ids(SCOPE), [])
})
