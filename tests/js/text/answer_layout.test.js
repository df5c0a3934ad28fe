import assert from "node:assert/strict"
import { test } from "node:test"

import { layoutOf, parsedAnswer, spokenLayout } from "../../../static/js/text/answer_layout.js"

const text = (value) => ({ kind: "text", text: value })

test("an object becomes rows, a list of objects a table, anything else a list or a text", () => {
  assert.deepEqual(layoutOf({ city: "Rome", degrees: 20, warm: true, wind: null }), {
    kind: "rows",
    rows: [
      { name: "city", value: text("Rome") },
      { name: "degrees", value: text("20") },
      { name: "warm", value: text("yes") },
      { name: "wind", value: text("–") },
    ],
  })
  assert.deepEqual(layoutOf([{ a: 1 }, { b: 2 }]), {
    kind: "table",
    columns: ["a", "b"],
    rows: [
      [text("1"), null],
      [null, text("2")],
    ],
  })
  assert.deepEqual(layoutOf(["a", {}]), { kind: "list", items: [text("a"), { kind: "rows", rows: [] }] })
  assert.deepEqual(layoutOf([]), { kind: "list", items: [] })
})

test("what is nested too deep or too wide is not made a table of tables", () => {
  let deep = 1
  for (let level = 0; level < 40; level++) deep = { inner: deep }
  const wide = Object.fromEntries(Array.from({ length: 20 }, (_, place) => [`column ${place}`, place]))

  assert.match(JSON.stringify(layoutOf(deep)), /"kind":"text"/)
  assert.equal(layoutOf([wide]).kind, "list")
})

test("names of the language itself are names like others", () => {
  const hostile = JSON.parse('{"__proto__": {"a": 1}, "constructor": "x", "toString": 2}')

  assert.deepEqual(
    layoutOf(hostile).rows.map(({ name }) => name),
    ["__proto__", "constructor", "toString"],
  )
  assert.deepEqual(layoutOf([{ a: 1 }, JSON.parse('{"toString": 2}')]).rows[0], [text("1"), null])
})

test("an answer is read aloud by its names", () => {
  assert.equal(
    spokenLayout(layoutOf({ city: "Rome", days: [{ degrees: 20 }], tags: ["a", "b"] })),
    ["city: Rome. days: degrees: 20. tags: a, b."].join(" "),
  )
})

test("an input that has broken off is no answer yet", () => {
  assert.equal(parsedAnswer('{"city": "Ro'), null)
  assert.equal(parsedAnswer("1"), null)
  assert.deepEqual(parsedAnswer('{"city": "Rome"}'), { city: "Rome" })
})
