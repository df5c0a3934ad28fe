import assert from "node:assert/strict"
import { test } from "node:test"

import { reportTyping, TypingTracker } from "../../../warmcache/static/warmcache/typing.js"
import { FakeTime, TIMINGS } from "../fakes.js"

function makeTracker({ isConnected = true } = {}) {
  const time = new FakeTime()
  const told = []
  const tracker = new TypingTracker({
    timers: time.timers,
    onStarted: (chars) => told.push(`started ${chars} at ${time.now}`),
    onStopped: () => told.push(`stopped at ${time.now}`),
  })
  if (isConnected) tracker.connected(TIMINGS)
  return { tracker, time, told }
}

test("the first key of a draft is told at once", () => {
  const { tracker, told } = makeTracker()

  tracker.typed(1)

  assert.deepEqual(told, ["started 1 at 0"])
})

test("further keys are told at the server's pace, with the growing count", () => {
  const { tracker, time, told } = makeTracker()

  for (let chars = 1; chars <= 50; chars += 1) {
    tracker.typed(chars)
    time.advance(100)
  }

  assert.deepEqual(told, ["started 1 at 0", "started 20 at 2000", "started 40 at 4000"])
})

test("a pause is not filled with frames", () => {
  const { tracker, time, told } = makeTracker()
  tracker.typed(1)

  time.advance(4_000)

  assert.deepEqual(told, ["started 1 at 0"])
})

test("the first key after a pause is told at once", () => {
  const { tracker, time, told } = makeTracker()
  tracker.typed(1)
  time.advance(3_000)

  tracker.typed(2)

  assert.deepEqual(told, ["started 1 at 0", "started 2 at 3000"])
})

test("a cleared draft is told once", () => {
  const { tracker, told } = makeTracker()
  tracker.typed(3)

  tracker.typed(0)
  tracker.typed(0)

  assert.deepEqual(told, ["started 3 at 0", "stopped at 0"])
})

test("an abandoned draft is told after the server's idle time, once", () => {
  const { tracker, time, told } = makeTracker()
  tracker.typed(3)

  time.advance(60_000)

  assert.deepEqual(told, ["started 3 at 0", "stopped at 5000"])
  assert.equal(time.waiting, 0)
})

test("going on after the idle time begins anew", () => {
  const { tracker, time, told } = makeTracker()
  tracker.typed(3)
  time.advance(5_000)

  tracker.typed(4)

  assert.deepEqual(told.slice(2), ["started 4 at 5000"])
})

test("a sent message ends typing without a word", () => {
  const { tracker, time, told } = makeTracker()
  tracker.typed(3)

  tracker.forget()
  time.advance(60_000)

  assert.deepEqual(told, ["started 3 at 0"])
})

test("what is typed before the connection is ready is told as soon as it is", () => {
  const { tracker, told } = makeTracker({ isConnected: false })
  tracker.typed(1)
  tracker.typed(2)

  tracker.connected(TIMINGS)

  assert.deepEqual(told, ["started 2 at 0"])
})

test("a draft that is being written is told again to a new connection", () => {
  const { tracker, time, told } = makeTracker()
  tracker.typed(3)
  time.advance(1_000)

  tracker.connected(TIMINGS)

  assert.deepEqual(told, ["started 3 at 0", "started 3 at 1000"])
})

test("without a draft a new connection hears nothing", () => {
  const { tracker, told } = makeTracker()

  tracker.connected(TIMINGS)

  assert.deepEqual(told, [])
})

function makeForm({ token = "from the form" } = {}) {
  const form = new EventTarget()
  form.elements = { namedItem: (name) => (name === "csrfmiddlewaretoken" && token ? { value: token } : null) }
  const field = Object.assign(new EventTarget(), { form, value: "" })
  const write = (text) => {
    field.value = text
    field.dispatchEvent(new Event("input"))
  }
  return { form, field, write }
}

test("a host's field is reported at its first key, with the token of its form and the host's own values", () => {
  const { timers } = new FakeTime()
  const { field, write } = makeForm()
  const posted = []
  reportTyping(field, "/typing/", { timers, values: () => ({ ticket: 7 }), post: (...call) => posted.push(call) })

  write("H")
  write("He")

  assert.deepEqual(posted, [["/typing/", { ticket: 7, chars: 1, csrfmiddlewaretoken: "from the form" }]])
})

test("after the form was sent a new draft is reported at its first key, and nothing once the host has ended it", () => {
  const { timers } = new FakeTime()
  const { form, field, write } = makeForm()
  const posted = []
  const end = reportTyping(field, "/typing/", { timers, post: (_, values) => posted.push(values.chars) })

  write("Hello")
  form.dispatchEvent(new Event("submit"))
  write("A")
  end()
  write("Again")

  assert.deepEqual(posted, [5, 1])
})

test("without a token in the form it is the cookie's, and the report is a beacon", (t) => {
  const { timers } = new FakeTime()
  const { field, write } = makeForm({ token: null })
  const sent = []
  const page = {
    document: { cookie: "theme=dark; csrftoken=abc" },
    navigator: { sendBeacon: (url, body) => sent.push(`${url} ${body}`) },
  }
  const before = Object.keys(page).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)])
  for (const name in page) Object.defineProperty(globalThis, name, { value: page[name], configurable: true })
  t.after(() => {
    for (const [name, was] of before) was ? Object.defineProperty(globalThis, name, was) : delete globalThis[name]
  })
  reportTyping(field, "/typing/", { timers })

  write("H")

  assert.deepEqual(sent, ["/typing/ chars=1&csrfmiddlewaretoken=abc"])
})
