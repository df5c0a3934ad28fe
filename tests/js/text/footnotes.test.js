import assert from "node:assert/strict"
import { test } from "node:test"

import { parseBlocks } from "../../../static/js/text/markdown.js"
import { MarkdownStream } from "../../../static/js/text/markdown_stream.js"

const htmlOf = (blocks) => blocks.map(({ html }) => html).join("")
const render = (source) => htmlOf(parseBlocks(source, { references: {} }))
const mark = (name) => `<sup class="footnote-mark">${name}</sup>`
const note = (name, text) => `<p class="footnote">${mark(name)} ${text}</p>\n`

test("a footnote has a mark in the text and a note with the same", () => {
  assert.equal(
    render("Ships[^1] sail[^note-2].\n\n[^1]: Big ones.\n[^note-2]: With *wind*."),
    `<p>Ships${mark("1")} sail${mark("note-2")}.</p>\n${note("1", "Big ones.")}${note("note-2", "With <em>wind</em>.")}`,
  )
})

test("a note of one word is no address of a link", () => {
  assert.equal(render("[^1]: https://example.org").includes('class="footnote"'), true)
})

test("a set of characters is no footnote, nor is code", () => {
  for (const source of ["the set [^0-9]", "[^abc] matches", "`[^1]`", "```\n[^1]: x\n```"]) {
    assert.doesNotMatch(render(source), /footnote/)
  }
})

test("cut anywhere, the result is the same", () => {
  const source = "Ships[^1].\n\n[^1]: Big ones,\nand small.\n[^2]: Two.\n\nend\n\nlast"
  for (let cut = 0; cut <= source.length; cut += 1) {
    const stream = new MarkdownStream()
    stream.append(source.slice(0, cut))
    const first = stream.read()
    stream.append(source.slice(cut))
    const second = stream.read()
    assert.equal(htmlOf([...first.settled, ...second.settled, ...second.tail]), render(source), `cut at ${cut}`)
  }
})
