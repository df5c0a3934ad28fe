import assert from "node:assert/strict"
import { test } from "node:test"

import { connectionText } from "../../static/js/connection_notice.js"
import { safeHref, withoutInvisible } from "../../static/js/link_policy.js"
import { StoredValues } from "../../static/js/stored_values.js"
import { newUuid } from "../../static/js/uuid.js"
import { FakeStorage } from "./fakes.js"

test("an id is a UUID of version 4", () => {
  assert.equal(newUuid((bytes) => bytes.fill(0xff)), "ffffffff-ffff-4fff-bfff-ffffffffffff")
  assert.match(newUuid(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.notEqual(newUuid(), newUuid())
})

test("only addresses of the web and of mail are followed", () => {
  assert.equal(safeHref("https://example.com/a b"), "https://example.com/a%20b")
  assert.equal(safeHref("mailto:a@example.com"), "mailto:a@example.com")
  for (const address of ["javascript:alert(1)", "data:text/html,x", "ftp://example.com", "/path", "#top", "", "//x.example"]) {
    assert.equal(safeHref(address), null, address)
  }
})

test("characters that hide or turn others are taken out", () => {
  assert.equal(withoutInvisible("a\u200Bb\u202Ec\u2066d\uFEFFe\u{E0041}f"), "abcdef")
})

test("a page says nothing of a connection that is well, and something of any other", () => {
  assert.equal(connectionText({ state: "ready", code: null }), null)
  for (const status of [
    { state: "waiting", code: 1006 }, { state: "waiting", code: 4412 }, { state: "ended", code: 4403 },
    { state: "ended", code: 4409 }, { state: "ended", code: 4401 }, { state: "connecting", code: null },
  ]) {
    assert.ok(connectionText(status).length > 10, JSON.stringify(status))
  }
})

test("stored values of one kind do not show up among another", () => {
  const storage = new FakeStorage()
  const drafts = new StoredValues({ open: () => storage, prefix: "draft:1" })
  const others = new StoredValues({ open: () => storage, prefix: "draft:12" })

  others.set("a", 1)

  assert.deepEqual(drafts.values(), [])
  assert.deepEqual(others.values(), [1])
})
