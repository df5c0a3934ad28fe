import assert from "node:assert/strict"
import { test } from "node:test"

import { quotaText, refusalText } from "../../../static/js/text/quota_words.js"
import { QUOTA_LEFT } from "../../../static/js/text/words.js"

test("counts have thousands, and money has a dollar sign", () => {
  const [many, money] = [
    { measure: "messages_per_day", left: "1200", limit: "10000" },
    { measure: "usd_per_day", left: "0.80", limit: "10.00" },
  ].map(quotaText)

  assert.deepEqual(
    [many, money],
    [`1,200 of 10,000 ${QUOTA_LEFT.messages_per_day}`, `$0.80 of $10.00 ${QUOTA_LEFT.usd_per_day}`],
  )
})

test("a time of another day is told with its day", () => {
  const until = "2026-12-01T00:00:00Z"

  assert.match(refusalText("Spent.", { until }, Date.parse("2026-11-12T12:00:00Z")), /send again on .* \d+ at /)
  assert.match(refusalText("Spent.", { until }, Date.parse("2026-11-30T12:00:00Z")), /send again at \d\d:00\.$/)
  assert.equal(refusalText("Spent.", { until: null }, 0), "Spent.")
})
