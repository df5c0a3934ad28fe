import assert from "node:assert/strict"
import { test } from "node:test"

import { DraftValues } from "../../../static/js/state/draft_values.js"
import { StoredValues } from "../../../static/js/state/stored_values.js"
import { CONVERSATION, FakeStorage } from "../fakes.js"

const SCOPE = { conversationId: CONVERSATION }
const NEW_CHAT = { conversationId: null }

class FakeBrowser {
  local = new FakeStorage()
  #nextKey = 1
  #now = 0

  /** A page in a tab, of which `session` is the storage. */
  page(session = new FakeStorage()) {
    const stored = (storage, prefix) => new StoredValues({ open: () => storage, prefix })
    return new DraftValues({
      shared: stored(this.local, "draft"),
      tab: stored(session, "draft"),
      left: stored(this.local, "left"),
      uuid: () => `tab ${this.#nextKey++}`,
      clock: () => this.#now++,
    })
  }
}

test("a conversation's value is the same in all tabs", () => {
  const browser = new FakeBrowser()

  browser.page().set(SCOPE, "half a thought")

  assert.equal(browser.page().get(SCOPE), "half a thought")
})

test("each tab has a new chat of its own, over a reload too", () => {
  const browser = new FakeBrowser()
  const [one, other] = [new FakeStorage(), new FakeStorage()]
  const pages = [browser.page(one), browser.page(other)]
  pages[0].set(NEW_CHAT, "one")
  pages[1].set(NEW_CHAT, "other")
  for (const page of pages) page.leave()

  assert.equal(browser.page(one).get(NEW_CHAT), "one")
  assert.equal(browser.page(other).get(NEW_CHAT), "other")
  assert.equal(browser.page().get(NEW_CHAT), null)
})

test("the new chat of a closed tab goes on in the next one that is opened, and only there", () => {
  const browser = new FakeBrowser()
  for (const text of ["earlier", "later"]) {
    const page = browser.page()
    page.set(NEW_CHAT, text)
    page.leave()
  }

  assert.deepEqual(
    [0, 1, 2].map(() => browser.page().get(NEW_CHAT)),
    ["later", "earlier", null],
  )
})

test("a tab that a browser shows again keeps what it left", () => {
  const browser = new FakeBrowser()
  const page = browser.page()
  page.set(NEW_CHAT, "mine")
  page.leave()

  page.comeBack()

  assert.equal(browser.page().get(NEW_CHAT), null)
  assert.equal(page.get(NEW_CHAT), "mine")
})

test("a tab that is a copy of another goes its own way", () => {
  const browser = new FakeBrowser()
  const session = new FakeStorage()
  const original = browser.page(session)
  original.set(NEW_CHAT, "both")
  const copied = new FakeStorage()
  for (let at = 0; at < session.length; at += 1) copied.setItem(session.key(at), session.getItem(session.key(at)))
  const copy = browser.page(copied)

  copy.set(NEW_CHAT, "copy")

  assert.equal(original.get(NEW_CHAT), "both")
})

test("what is sent or emptied is not left to anybody", () => {
  const browser = new FakeBrowser()
  const page = browser.page()
  page.set(NEW_CHAT, "sent")
  page.delete(NEW_CHAT)

  page.leave()

  assert.equal(browser.page().get(NEW_CHAT), null)
})
