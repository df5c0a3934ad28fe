import assert from "node:assert/strict"
import { test } from "node:test"

import { Sources, sourceLines } from "../../../static/js/text/sources.js"

const page = (url, title) => ({ type: "web_search_result_location", url, title, cited_text: "x" })
const numbersOf = (sources) => sources.map(({ number }) => number)

test("sources are numbered as they are first cited, each once", () => {
  const sources = new Sources()

  assert.deepEqual(numbersOf(sources.cite([page("https://a.example/1", "A"), page("https://b.example/", "B")])), [1, 2])
  assert.deepEqual(numbersOf(sources.cite([page("https://b.example/", "B, again")])), [2])
  assert.deepEqual(numbersOf(sources.cite([page("https://a.example/2", "C"), page("https://a.example/2", "C")])), [3])
  assert.deepEqual(numbersOf(sources.all), [1, 2, 3])
})

test("a link says whose page it is, whatever its title says", () => {
  const [source] = new Sources().cite([page("https://evil.example/login", "bank.example\u202E")])

  assert.deepEqual([source.title, source.host], ["bank.example", "evil.example"])
})

for (const url of ["javascript:alert(1)", "mailto:a@b.example", "data:text/html,x", "nonsense", null, 7]) {
  test(`${url} is no link`, () => {
    const [source] = new Sources().cite([page(url, "A page")])

    assert.deepEqual([source.href, source.host, source.title], [null, null, "A page"])
  })
}

test("documents are told apart by number and page", () => {
  const sources = new Sources()
  sources.cite([
    { type: "page_location", document_index: 0, document_title: "Report", start_page_number: 3, end_page_number: 4 },
    { type: "page_location", document_index: 0, document_title: "Report", start_page_number: 3, end_page_number: 6 },
    { type: "char_location", document_index: 1, document_title: null, start_char_index: 0, end_char_index: 5 },
    { type: "char_location", document_index: 1, document_title: null, start_char_index: 9, end_char_index: 12 },
  ])

  assert.deepEqual(sourceLines(sources.all), ["[1] Report, page 3", "[2] Report, pages 3–5", "[3] Document 2"])
})

test("a citation of an unknown kind is still a source", () => {
  const sources = new Sources()
  sources.cite([{ type: "hologram_location" }])

  assert.deepEqual(sourceLines(sources.all), ["[1] Source"])
})

test("a search result is named by its source where it has no title", () => {
  const sources = new Sources()
  sources.cite([{ type: "search_result_location", source: "kb/7", title: null, search_result_index: 0 }])
  sources.cite([{ type: "search_result_location", source: "https://kb.example/8", title: "Eight" }])

  assert.deepEqual(sourceLines(sources.all), ["[1] kb/7", "[2] Eight, https://kb.example/8"])
})
