import assert from "node:assert/strict"
import { test } from "node:test"

import { TtftMeter } from "../../../static/js/state/ttft_meter.js"
import { QUESTION, REPLY } from "../fakes.js"

function makeMeter() {
  const measured = []
  const screen = { paintsAt: 0 }
  const meter = new TtftMeter({
    afterPaint: (callback) => callback(screen.paintsAt),
    onMeasured: (replyId, ttftMs) => measured.push([replyId, ttftMs]),
  })
  return { meter, measured, screen }
}

test("time runs from the press to the paint of the first words", () => {
  const { meter, measured, screen } = makeMeter()
  meter.pressed("client-1", 100)
  meter.becameMessage("client-1", QUESTION)
  meter.replyStarted(REPLY, QUESTION)
  screen.paintsAt = 612.5

  meter.firstWords(REPLY)

  assert.deepEqual(measured, [[REPLY, 512.5]])
})

test("a reply is measured once", () => {
  const { meter, measured } = makeMeter()
  meter.pressed(QUESTION, 0)
  meter.replyStarted(REPLY, QUESTION)

  meter.firstWords(REPLY)
  meter.firstWords(REPLY)
  meter.replyStarted(REPLY, QUESTION)
  meter.firstWords(REPLY)

  assert.equal(measured.length, 1)
})

test("a reply that nobody here asked for is not measured", () => {
  const { meter, measured } = makeMeter()
  meter.becameMessage("client-of-another-tab", QUESTION)
  meter.replyStarted(REPLY, QUESTION)

  meter.firstWords(REPLY)

  assert.deepEqual(measured, [])
})
