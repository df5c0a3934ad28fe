import assert from "node:assert/strict"
import { test } from "node:test"

import { describeWarmth, nextChangeMs, reasonText, timeLeftText } from "../../../static/js/text/warmth_words.js"

const MINUTE = 60_000
const warmth = (fields) => ({ state: "cold", reason: null, prefixTokens: 0, leftMs: null, ...fields })

test("long times are told in minutes, the last ones by the second", () => {
  const texts = [59.6 * MINUTE, 12 * MINUTE, 5 * MINUTE, 5 * MINUTE - 1000, 69_000, 9_001, 0].map(timeLeftText)

  assert.deepEqual(texts, [
    "about 60 min",
    "about 12 min",
    "about 5:00",
    "about 4:59",
    "about 1:09",
    "about 0:10",
    "about 0:00",
  ])
})

test("each text is shown for as long as it is true, and never changes twice a second", () => {
  for (let leftMs = 61 * MINUTE, text = ""; leftMs > 1000; leftMs -= nextChangeMs(leftMs)) {
    assert.notEqual(timeLeftText(leftMs), text, `at ${leftMs} ms`)
    assert.ok(nextChangeMs(leftMs) >= 1000)
    text = timeLeftText(leftMs)
  }
})

test("ready says how long it stays so, as an estimate", () => {
  const { label } = describeWarmth(warmth({ state: "warm", leftMs: 252_000 }))

  assert.equal(label, "Ready, about 4:12 left")
})

test("ready without a time says only that", () => {
  assert.equal(describeWarmth(warmth({ state: "warm" })).label, "Ready")
})

test("what was skipped says on demand why, in plain words", () => {
  const { label, detail } = describeWarmth(warmth({ state: "skipped", reason: "below_minimum_tokens" }))

  assert.equal(label, "Will read up when you send")
  assert.match(detail, /Why: too short to be cached\./)
})

test("with files attached, it tells of them until they are read", () => {
  const labelOf = (changes) => describeWarmth(warmth(changes), { hasFiles: true }).label

  assert.equal(labelOf({ state: "cold" }), "Will read the documents when you send")
  assert.equal(labelOf({ state: "skipped", reason: "over_cost_cap" }), "Will read the documents when you send")
  assert.equal(labelOf({ state: "warming" }), "Reading the documents")
  assert.equal(labelOf({ state: "warm" }), "Ready")
})

test("a reason that this page does not know is shown as it is written", () => {
  assert.equal(reasonText("moon_in_wrong_phase"), "moon in wrong phase")
})

test("each reason of the protocol has words of its own", () => {
  const reasons = [
    "below_minimum_tokens",
    "already_warm",
    "in_flight",
    "over_cost_cap",
    "warming_off",
    "not_cacheable",
    "structured_output",
    "manual_thinking",
    "endpoint_without_prewarm",
    "store_unavailable",
    "upstream_limited",
    "rate_limited",
    "overloaded",
  ]

  for (const reason of reasons) assert.notEqual(reasonText(reason), reason.replaceAll("_", " "))
})

test("the explanation tells the size of the prefix where it is known", () => {
  assert.match(describeWarmth(warmth({ state: "warm", prefixTokens: 60123 })).detail, /60,123 tokens/)
  assert.doesNotMatch(describeWarmth(warmth({})).detail, /tokens/)
})

test("a state that this page does not know is shown by its name", () => {
  assert.equal(describeWarmth(warmth({ state: "lukewarm" })).label, "lukewarm")
})
