import assert from "node:assert/strict"
import { test } from "node:test"
import { SearchBox } from "../../../static/js/state/search_box.js"
import { FakeTime } from "../fakes.js"

function make() {
  const sent = []
  const shown = []
  const time = new FakeTime()
  const send = (frame) => sent.push(frame) > 0
  const box = new SearchBox({ send, timers: time.timers, maxChars: 20, onChange: (now) => shown.push(now) })
  const answer = (fields) => box.take({ before: null, conversations: [], hits: [], next: null, ...fields })
  return { box, sent, shown, time, answer, now: () => shown.at(-1) }
}

test("one question is asked for words that are typed without a pause", () => {
  const { box, sent, time, now } = make()

  for (const text of ["h", "ha", "har", " har "]) box.typed(text)
  assert.deepEqual(now(), { query: "har", found: null, isLoading: true })
  time.advance(1_000)

  assert.deepEqual(sent, [{ type: "search.ask", query: "har", before: null }])
})

test("only the answer to the present words counts", () => {
  const { box, time, answer, now } = make()
  box.typed("har")
  time.advance(1_000)
  box.typed("harbour")
  answer({ query: "har", hits: ["old"] })
  assert.equal(now().found, null)

  answer({ query: "harbour", hits: ["new"] })

  assert.deepEqual(now().found.hits, ["new"])
  assert.equal(now().isLoading, false)
})

test("more is asked for once, and comes below", () => {
  const { box, sent, time, answer, now } = make()
  box.typed("har")
  time.advance(1_000)
  answer({ query: "har", hits: [1], next: 9 })

  box.more()
  box.more()
  answer({ query: "har", before: 9, hits: [2] })
  box.more()

  assert.deepEqual(sent.slice(1), [{ type: "search.ask", query: "har", before: 9 }])
  assert.deepEqual(now().found.hits, [1, 2])
})

test("an empty field asks nothing and shows nothing", () => {
  const { box, sent, time, now } = make()
  box.typed("har")
  box.typed("  ")
  time.advance(1_000)

  assert.deepEqual(now(), { query: "", found: null, isLoading: false })
  assert.deepEqual(sent, [])
})

test("Enter asks at once; so does a new connection if an answer is missing", () => {
  const { box, sent, answer } = make()
  box.typed("har")
  box.now()
  box.now()
  answer({ query: "har" })
  box.now()

  assert.equal(sent.length, 2)
})
