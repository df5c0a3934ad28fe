import assert from "node:assert/strict"
import { test } from "node:test"

import { backoffDelayMs } from "../../../static/js/transport/backoff.js"

test("the first wait lies between half a second and a second", () => {
  assert.equal(
    backoffDelayMs(0, () => 0),
    500,
  )
  assert.equal(
    backoffDelayMs(0, () => 1),
    1000,
  )
})

test("the reach doubles with each attempt and ends at thirty seconds", () => {
  const reaches = [0, 1, 2, 3, 4, 5, 6, 60].map((attempt) => backoffDelayMs(attempt, () => 1))

  assert.deepEqual(reaches, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
})

test("even a late attempt may come soon, so that all pages together spread over the whole reach", () => {
  assert.equal(
    backoffDelayMs(20, () => 0),
    500,
  )
})
