import assert from "node:assert/strict"
import { test } from "node:test"

import { placeAmong } from "../../../static/js/views/version_switch.js"

test("a version knows its place and its neighbours", () => {
  assert.deepEqual(placeAmong(["a", "b", "c"], "b"), { place: 2, count: 3, previous: "a", next: "c" })
})

test("the first and the last have one neighbour", () => {
  assert.equal(placeAmong(["a", "b"], "a").previous, null)
  assert.equal(placeAmong(["a", "b"], "b").next, null)
})
