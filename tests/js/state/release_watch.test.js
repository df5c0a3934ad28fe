import assert from "node:assert/strict"
import { test } from "node:test"

import { isNewer, ReleaseWatch } from "../../../static/js/state/release_watch.js"
import { FakeTime } from "../fakes.js"

const OLD = "1764400000.0123456789ab"
const NEW = "1764500000.ba9876543210"
const MINUTE = 60_000

function watchOf(release, { random = () => 0 } = {}) {
  const time = new FakeTime()
  const page = { busy: false, visible: true, told: 0, reloads: 0 }
  const watch = new ReleaseWatch({
    release,
    protocol: 1,
    clock: time.clock,
    timers: time.timers,
    random,
    isBusy: () => page.busy,
    isVisible: () => page.visible,
    onNewer: () => page.told++,
    reload: () => page.reloads++,
  })
  return { watch, time, page }
}

test("a release is newer if its files differ and were collected later", () => {
  assert.equal(isNewer(NEW, OLD), true)
  assert.equal(isNewer(OLD, NEW), false)
  assert.equal(isNewer("1764500000.0123456789ab", OLD), false)
  for (const [theirs, ours] of [
    ["", OLD],
    [NEW, ""],
    [undefined, OLD],
  ]) {
    assert.equal(isNewer(theirs, ours), false)
  }
})

test("the same release again, and an older one, change nothing", () => {
  const { watch, time, page } = watchOf(NEW)

  for (const release of [NEW, OLD, ""]) watch.connected({ protocol: 1, release })

  assert.equal(page.told, 0)
  assert.equal(time.waiting, 0)
})

test("a newer release is told once, and a page left alone reloads after five minutes", () => {
  const { watch, time, page } = watchOf(OLD)

  for (let times = 0; times < 2; times++) watch.connected({ protocol: 1, release: NEW })
  time.advance(5 * MINUTE - 1)
  const before = page.reloads
  time.advance(1)

  assert.deepEqual([page.told, before, page.reloads], [1, 0, 1])
  assert.equal(time.waiting, 0)
})

test("another protocol is another version, whatever the files are", () => {
  const { watch, page } = watchOf("")

  watch.connected({ protocol: 2, release: "" })

  assert.equal(page.told, 1)
})

test("who goes on writing keeps the page", () => {
  const { watch, time, page } = watchOf(OLD)
  watch.connected({ protocol: 1, release: NEW })

  for (let minute = 0; minute < 20; minute++) {
    time.advance(MINUTE)
    watch.touched()
  }

  assert.equal(page.reloads, 0)
})

test("what a reload would cost is waited for", () => {
  const { watch, time, page } = watchOf(OLD)
  page.busy = true
  watch.connected({ protocol: 1, release: NEW })
  time.advance(60 * MINUTE)
  const before = page.reloads

  page.busy = false
  time.advance(5_000)

  assert.deepEqual([before, page.reloads], [0, 1])
})

test("pages that nobody sees reload sooner, and not all at once", () => {
  const after = (share) => {
    const { watch, time, page } = watchOf(OLD, { random: () => share })
    page.visible = false
    watch.connected({ protocol: 1, release: NEW })
    while (page.reloads === 0) time.advance(1_000)
    return time.now
  }

  assert.deepEqual([after(0), after(0.5), after(0.99)], [30_000, 60_000, 90_000])
})
