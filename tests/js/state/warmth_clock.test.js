import assert from "node:assert/strict"
import { test } from "node:test"

import { WarmthClock } from "../../../static/js/state/warmth_clock.js"
import { CONVERSATION, FakeTime } from "../fakes.js"

const SCOPE = { conversationId: CONVERSATION, assistantId: null }
const NEW_CHAT = { conversationId: null, assistantId: 3 }

function makeClock() {
  const time = new FakeTime()
  const shown = []
  const clock = new WarmthClock({
    clock: time.clock,
    timers: time.timers,
    maxRemembered: 32,
    onChange: (now) => shown.push(now),
  })
  const hear = (frame) => {
    clock.take(frame)
    clock.show(SCOPE)
  }
  return { clock, hear, time, shown }
}

const frame = (state, expiresInMs = null, fields = {}) => ({
  conversation_id: CONVERSATION,
  state,
  reason: null,
  prefix_tokens: 1000,
  estimated_expires_at: expiresInMs === null ? null : new Date(expiresInMs).toISOString(),
  ...fields,
})

test("the last minutes count down once a second", () => {
  const { hear, time, shown } = makeClock()
  hear(frame("warm", 10_000))

  time.advance(3_000)

  assert.deepEqual(
    shown.map(({ leftMs }) => leftMs),
    [10_000, 9_000, 8_000, 7_000],
  )
})

test("an hour is not counted in seconds", () => {
  const { hear, time, shown } = makeClock()
  hear(frame("warm", 3_600_000))

  time.advance(600_000)

  assert.ok(shown.length <= 12, `${shown.length} changes in ten minutes`)
})

test("when the time is over it is cold, and nothing ticks any more", () => {
  const { hear, time, shown } = makeClock()
  hear(frame("expiring", 2_000))

  time.advance(60_000)

  assert.deepEqual([shown.at(-1).state, shown.at(-1).leftMs, shown.at(-1).prefixTokens], ["cold", null, 1000])
  assert.equal(time.waiting, 0)
})

test("a newer word replaces the countdown", () => {
  const { hear, time, shown } = makeClock()
  hear(frame("warm", 10_000))

  hear(frame("warming"))
  time.advance(60_000)

  assert.equal(shown.at(-1).state, "warming")
})

test("where our clock is ahead, the server's word counts for more than our arithmetic", () => {
  const { hear, time, shown } = makeClock()
  time.advance(600_000)

  hear(frame("warm", 300_000))

  assert.deepEqual([shown[0].state, shown[0].leftMs], ["warm", null])
  assert.equal(time.waiting, 0)
})

test("another conversation begins cold, and coming back finds what was known", () => {
  const { clock, hear, time, shown } = makeClock()
  hear(frame("warm", 60_000))

  clock.show(NEW_CHAT)
  time.advance(10_000)
  clock.show(SCOPE)

  assert.deepEqual(
    shown.slice(1).map(({ state, leftMs }) => [state, leftMs]),
    [
      ["cold", null],
      ["warm", 50_000],
    ],
  )
})

test("what has ended meanwhile is not shown as warm on coming back", () => {
  const { clock, hear, time, shown } = makeClock()
  hear(frame("warm", 60_000))
  clock.show(NEW_CHAT)
  time.advance(61_000)

  clock.show(SCOPE)

  assert.equal(shown.at(-1).state, "cold")
})

test("a word about an assistant is kept for its new chat", () => {
  const { clock, shown } = makeClock()
  clock.take(frame("skipped", null, { conversation_id: undefined, assistant_id: 3, reason: "in_flight" }))

  clock.show(NEW_CHAT)

  assert.deepEqual([shown.at(-1).state, shown.at(-1).reason], ["skipped", "in_flight"])
})

test("a new connection starts from nothing", () => {
  const { clock, hear, shown } = makeClock()
  hear(frame("warm", 60_000))

  clock.forget()
  clock.show(SCOPE)

  assert.equal(shown.at(-1).state, "cold")
})
