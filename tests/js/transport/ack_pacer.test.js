import assert from "node:assert/strict"
import { test } from "node:test"

import { AckPacer } from "../../../static/js/transport/ack_pacer.js"
import { delta, FakeTime, finished, READY } from "../fakes.js"

function makePacer() {
  const time = new FakeTime()
  const acks = []
  const pacer = new AckPacer({ clock: time.clock, timers: time.timers, onAck: (_, seq) => acks.push([seq, time.now]) })
  pacer.connected(READY)
  return { pacer, time, acks }
}

test("frames in one interval share one acknowledgement, of the newest", () => {
  const { pacer, time, acks } = makePacer()

  for (const seq of [1, 2, 3]) pacer.read(delta(seq, "x"), 10)
  time.advance(1000)

  assert.deepEqual(acks, [[3, 250]])
})

test("a full window is acknowledged at once", () => {
  const { pacer, acks } = makePacer()

  pacer.read(delta(1, "x"), 600)
  pacer.read(delta(2, "x"), 600)

  assert.deepEqual(acks, [[2, 0]])
})

test("the end is acknowledged at once, and nothing is left to wait for", () => {
  const { pacer, time, acks } = makePacer()
  pacer.read(delta(1, "x"), 10)

  pacer.read(finished(2), 10)
  time.advance(10_000)

  assert.deepEqual(acks, [[2, 0]])
})

test("a frame that comes late is acknowledged at once: a hidden tab's timers may sleep", () => {
  const { pacer, time, acks } = makePacer()
  pacer.read(delta(1, "x"), 10)
  time.now += 5_000

  pacer.read(delta(2, "x"), 10)

  assert.deepEqual(acks, [[2, 5_000]])
})

test("a new connection owes nothing for the old one", () => {
  const { pacer, time, acks } = makePacer()
  pacer.read(delta(1, "x"), 10)

  pacer.connected(READY)
  time.advance(10_000)

  assert.deepEqual(acks, [])
})
