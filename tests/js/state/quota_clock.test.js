import assert from "node:assert/strict"
import { test } from "node:test"

import { QuotaClock } from "../../../static/js/state/quota_clock.js"
import { FakeTime } from "../fakes.js"

function makeClock() {
  const time = new FakeTime()
  const shown = []
  const clock = new QuotaClock({ clock: time.clock, timers: time.timers, onChange: (text) => shown.push(text) })
  return { clock, time, shown }
}

const quota = (measure, left, endsInMs, fields = {}) => ({
  measure,
  scope: "person",
  limit: "60",
  left,
  until: new Date(endsInMs).toISOString(),
  ...fields,
})

test("what is left is told until the count begins again", () => {
  const { clock, time, shown } = makeClock()
  clock.take([quota("messages_per_minute", "3", 20_000), quota("messages_per_day", "9", 90_000)])

  time.advance(20_000)
  time.advance(70_000)

  assert.deepEqual(shown, [
    "3 of 60 messages left this minute · 9 of 60 messages left today",
    "9 of 60 messages left today",
    "",
  ])
  assert.equal(time.waiting, 0)
})

test("an end in many days is no timer that is over at once", () => {
  const { clock, time, shown } = makeClock()
  clock.take([quota("usd_per_month", "1.20", 30 * 24 * 3600_000, { limit: "10.00" })])

  time.advance(29 * 24 * 3600_000)

  assert.equal(shown.at(-1), "$1.20 of $10.00 left to spend this month")
})

test("the server's newest word replaces the one before", () => {
  const { clock, shown } = makeClock()
  clock.take([quota("messages_per_minute", "3", 20_000)])
  clock.take([])

  assert.equal(shown.at(-1), "")
})

test("a refusal is told with the time, and shown as nothing left", () => {
  const { clock, shown } = makeClock()
  clock.take([quota("messages_per_minute", "1", 20_000)])

  const words = clock.refusal("That many are sent.", quota("messages_per_minute", "0", 20_000))

  assert.match(words, /^That many are sent\. You can send again at \d\d:\d\d\.$/)
  assert.equal(shown.at(-1), "0 of 60 messages left this minute")
})

test("a refusal without a time, of others' limits or of another kind changes no line", () => {
  const { clock, shown } = makeClock()

  assert.equal(clock.refusal("Wait for one.", quota("running_replies", "0", 0, { until: null })), "Wait for one.")
  clock.refusal("Everybody.", quota("usd_per_day", "0.00", 20_000, { scope: "all" }))
  assert.equal(clock.refusal("Not found.", null), "Not found.")
  assert.deepEqual(shown, [])
})
