import assert from "node:assert/strict"
import { test } from "node:test"

import { newUuid } from "../../../static/js/state/uuid.js"

test("an id is a UUID of version 4", () => {
  assert.equal(
    newUuid((bytes) => bytes.fill(0xff)),
    "ffffffff-ffff-4fff-bfff-ffffffffffff",
  )
  assert.match(newUuid(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  assert.notEqual(newUuid(), newUuid())
})

test("no two ids are the same", () => {
  const ids = new Set(Array.from({ length: 1000 }, () => newUuid()))

  assert.equal(ids.size, 1000)
})

test("the server's own parser would take it: five groups of lower-case digits", () => {
  const counted = newUuid((bytes) => bytes.map((_, index) => index))

  assert.equal(counted, "00010203-0405-4607-8809-0a0b0c0d0e0f")
})
