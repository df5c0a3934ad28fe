import assert from "node:assert/strict"
import { test } from "node:test"

import { WarmthClock } from "../../static/js/warmth_clock.js"
import { FakeTime } from "./fakes.js"

function makeClock() {
  const time = new FakeTime()
  const shown = []
  const clock = new WarmthClock({ clock: time.clock, timers: time.timers, onChange: (now) => shown.push(now) })
  return { clock, time, shown }
}

const frame = (state, expiresInMs = null, fields = {}) => ({
  state,
  reason: null,
  prefix_tokens: 1000,
  estimated_expires_at: expiresInMs === null ? null : new Date(expiresInMs).toISOString(),
  ...fields,
})

test("the last minutes count down once a second", () => {
  const { clock, time, shown } = makeClock()
  clock.take(frame("warm", 10_000))

  time.advance(3_000)

  assert.deepEqual(shown.map(({ leftMs }) => leftMs), [10_000, 9_000, 8_000, 7_000])
})

test("an hour is not counted in seconds", () => {
  const { clock, time, shown } = makeClock()
  clock.take(frame("warm", 3_600_000))

  time.advance(600_000)

  assert.ok(shown.length <= 12, `${shown.length} changes in ten minutes`)
})

test("when the time is over it is cold, and nothing ticks any more", () => {
  const { clock, time, shown } = makeClock()
  clock.take(frame("expiring", 2_000))

  time.advance(60_000)

  assert.deepEqual([shown.at(-1).state, shown.at(-1).leftMs, shown.at(-1).prefixTokens], ["cold", null, 1000])
  assert.equal(time.waiting, 0)
})

test("a newer word replaces the countdown", () => {
  const { clock, time, shown } = makeClock()
  clock.take(frame("warm", 10_000))

  clock.take(frame("warming"))
  time.advance(60_000)

  assert.equal(shown.at(-1).state, "warming")
})

test("where our clock is ahead, the server's word counts for more than our arithmetic", () => {
  const { clock, time, shown } = makeClock()
  time.advance(600_000)

  clock.take(frame("warm", 300_000))

  assert.deepEqual([shown[0].state, shown[0].leftMs], ["warm", null])
  assert.equal(time.waiting, 0)
})

test("another conversation begins cold", () => {
  const { clock, shown } = makeClock()
  clock.take(frame("skipped", null, { reason: "in_flight" }))

  clock.reset()

  assert.deepEqual(shown.at(-1), { state: "cold", reason: null, prefixTokens: 0, leftMs: null })
})
