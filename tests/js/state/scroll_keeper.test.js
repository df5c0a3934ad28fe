import assert from "node:assert/strict"
import { test } from "node:test"

import { ScrollKeeper } from "../../../static/js/state/scroll_keeper.js"

/** A pane of 400 px; `scrollTop` is held within bounds, as a browser does. */
class FakePane {
  clientHeight = 400
  scrollHeight = 1000
  #top = 0

  get scrollTop() {
    return this.#top
  }

  set scrollTop(value) {
    this.#top = Math.max(0, Math.min(value, this.scrollHeight - this.clientHeight))
  }
}

function makeKeeper() {
  const pane = new FakePane()
  const changes = []
  const nearStart = []
  const keeper = new ScrollKeeper({
    pane,
    onFollowing: (isFollowing) => changes.push(isFollowing),
    onNearStart: () => nearStart.push(pane.scrollTop),
  })
  keeper.jumpToEnd()
  const scrollTo = (top) => {
    pane.scrollTop = top
    keeper.scrolled()
  }
  return { pane, keeper, changes, nearStart, scrollTo }
}

test("new words are followed while the reader is at the end", () => {
  const { pane, keeper } = makeKeeper()
  pane.scrollHeight = 1200

  keeper.resized()

  assert.equal(pane.scrollTop, 800)
})

test("a reader who goes up is left alone, be it by a few pixels", () => {
  const { pane, keeper, changes, scrollTo } = makeKeeper()

  scrollTo(590)
  pane.scrollHeight = 1200
  keeper.resized()

  assert.equal(pane.scrollTop, 590)
  assert.deepEqual(changes, [false])
})

test("a reader who comes back to the end is followed again", () => {
  const { pane, keeper, changes, scrollTo } = makeKeeper()
  scrollTo(100)

  scrollTo(580)
  pane.scrollHeight = 1200
  keeper.resized()

  assert.equal(pane.scrollTop, 800)
  assert.deepEqual(changes, [false, true])
})

test("going down without reaching the end changes nothing", () => {
  const { changes, scrollTo } = makeKeeper()
  scrollTo(100)

  scrollTo(300)

  assert.deepEqual(changes, [false])
})

test("content that shrinks is no scrolling up", () => {
  const { pane, keeper, changes } = makeKeeper()
  pane.scrollHeight = 800
  pane.scrollTop = 600

  keeper.scrolled()

  assert.deepEqual(changes, [])
})

test("where all has come in sight, what comes next is followed", () => {
  const { pane, keeper, changes, scrollTo } = makeKeeper()
  scrollTo(100)

  pane.scrollHeight = 400
  keeper.resized()
  pane.scrollHeight = 900
  keeper.resized()

  assert.equal(pane.scrollTop, 500)
  assert.deepEqual(changes, [false, true])
})

test("before the first message the page is read from its top, and at the reader's own pace", () => {
  const pane = new FakePane()
  const changes = []
  let isEmpty = true
  const keeper = new ScrollKeeper({ pane, onFollowing: (is) => changes.push(is), isEmpty: () => isEmpty })
  pane.scrollTop = 600

  keeper.jumpToEnd()
  const atFirst = pane.scrollTop
  pane.scrollTop = 200
  keeper.scrolled()
  keeper.resized()
  const onceRead = pane.scrollTop
  isEmpty = false
  keeper.jumpToEnd()

  assert.deepEqual([atFirst, onceRead, pane.scrollTop], [0, 200, 600])
  assert.deepEqual(changes, [])
})

test("jumping to the end follows from then on", () => {
  const { pane, keeper, changes, scrollTo } = makeKeeper()
  scrollTo(0)

  keeper.jumpToEnd()

  assert.equal(pane.scrollTop, 600)
  assert.deepEqual(changes, [false, true])
})

test("what is put above leaves the reader where he is, and the end is not followed", () => {
  const { pane, keeper, scrollTo } = makeKeeper()
  scrollTo(100)

  keeper.keepInPlace(() => (pane.scrollHeight += 700))
  keeper.scrolled()

  assert.equal(pane.scrollTop, 800)
  assert.equal(keeper.isFollowing, false)
})

test("what is put above a reader at the end leaves him there", () => {
  const { pane, keeper } = makeKeeper()

  keeper.keepInPlace(() => (pane.scrollHeight += 700))

  assert.equal(pane.scrollTop, 1300)
  assert.equal(keeper.isFollowing, true)
})

test("the start is near when a reader goes up to the last screen, and not when the page itself scrolls", () => {
  const { pane, keeper, nearStart, scrollTo } = makeKeeper()
  pane.scrollHeight = 2000
  keeper.resized()

  for (const top of [1000, 401, 400, 401, 200, 300]) scrollTo(top)

  assert.deepEqual(nearStart, [400, 200])
})
