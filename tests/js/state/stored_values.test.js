import assert from "node:assert/strict"
import { test } from "node:test"

import { StoredValues } from "../../../static/js/state/stored_values.js"
import { FakeStorage, openForbidden } from "../fakes.js"

test("stored values of one kind do not show up among another", () => {
  const storage = new FakeStorage()
  const drafts = new StoredValues({ open: () => storage, prefix: "draft:1" })
  const others = new StoredValues({ open: () => storage, prefix: "draft:12" })

  others.set("a", 1)

  assert.deepEqual(drafts.values(), [])
  assert.deepEqual(others.values(), [1])
})

test("a value is there for the next page", () => {
  const storage = new FakeStorage()
  const open = () => storage
  new StoredValues({ open, prefix: "draft:1" }).set("a", { text: "Hello" })

  const next = new StoredValues({ open, prefix: "draft:1" })

  assert.deepEqual(next.get("a"), { text: "Hello" })
  next.delete("a")
  assert.equal(next.get("a"), null)
})

test("without a storage a value lives as long as the page", () => {
  const values = new StoredValues({ open: openForbidden, prefix: "draft:1" })

  values.set("a", 1)

  assert.equal(values.get("a"), 1)
  assert.deepEqual(values.values(), [1])
  values.delete("a")
  assert.equal(values.get("a"), null)
})

test("what another program left under our name is no value", () => {
  const storage = new FakeStorage()
  storage.setItem("draft:1:a", "{broken")

  const values = new StoredValues({ open: () => storage, prefix: "draft:1" })

  assert.equal(values.get("a"), null)
  assert.deepEqual(values.values(), [])
})
