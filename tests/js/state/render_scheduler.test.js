import assert from "node:assert/strict"
import { test } from "node:test"

import { RenderScheduler } from "../../../static/js/state/render_scheduler.js"

function makeScheduler() {
  const screen = { now: 0, frames: [] }
  const scheduler = new RenderScheduler({ requestFrame: (draw) => screen.frames.push(draw), now: () => screen.now })
  const nextFrame = (atMs) => {
    screen.now = Math.max(screen.now, atMs)
    for (const draw of screen.frames.splice(0)) draw()
  }
  const makeView = (costMs = 0) => ({
    draws: 0,
    draw() {
      this.draws += 1
      screen.now += costMs
    },
  })
  return { scheduler, nextFrame, makeView, screen }
}

test("many requests in one frame are one drawing", () => {
  const { scheduler, nextFrame, makeView, screen } = makeScheduler()
  const view = makeView()

  for (let count = 0; count < 100; count += 1) scheduler.request(view)

  assert.equal(screen.frames.length, 1)
  nextFrame(16)
  assert.equal(view.draws, 1)
})

test("first words are drawn without waiting for a frame", () => {
  const { scheduler, makeView } = makeScheduler()
  const view = makeView()

  scheduler.flush(view)

  assert.equal(view.draws, 1)
})

test("what was flushed is not drawn again for nothing", () => {
  const { scheduler, nextFrame, makeView } = makeScheduler()
  const view = makeView()
  scheduler.request(view)

  scheduler.flush(view)
  nextFrame(16)

  assert.equal(view.draws, 1)
})

test("slow drawing leaves most of the time to everything else", () => {
  const { scheduler, nextFrame, makeView, screen } = makeScheduler()
  const view = makeView(20)

  for (let frame = 1; frame <= 100; frame += 1) {
    scheduler.request(view)
    nextFrame(frame * 16)
  }

  assert.ok(view.draws * 20 <= screen.now * 0.26, `${view.draws} drawings in ${screen.now} ms`)
  assert.ok(view.draws >= 15)
})
