import assert from "node:assert/strict"
import { test } from "node:test"

import { parseBlocks } from "../../../static/js/text/markdown.js"

const render = (source) =>
  parseBlocks(source, { references: {} })
    .map(({ html }) => html)
    .join("")

test("a line break in a table's cell is one", () => {
  const html = render("| a |\n|---|\n| one<br>two<BR />three |")

  assert.match(html, /<td>one<br>\ntwo<br>\nthree<\/td>/)
})

test("small letters stand below and above, keys and marks are such", () => {
  assert.equal(render("H<sub>2</sub>O and x<SUP>2</SUP>"), "<p>H<sub>2</sub>O and x<sup>2</sup></p>\n")
  assert.equal(render("<kbd>Ctrl</kbd> <mark>here</mark>"), "<p><kbd>Ctrl</kbd> <mark>here</mark></p>\n")
  assert.equal(render("a<sub>*i*</sub>"), "<p>a<sub><em>i</em></sub></p>\n")
})

test("a tag without its other half, with an attribute or in code is text", () => {
  assert.equal(render("a <sub>b"), "<p>a &lt;sub&gt;b</p>\n")
  assert.equal(render("a </sub> b"), "<p>a &lt;/sub&gt; b</p>\n")
  assert.equal(render('<sub class="x">b</sub>'), "<p>&lt;sub class=&quot;x&quot;&gt;b&lt;/sub&gt;</p>\n")
  assert.equal(render("`<br>`"), "<p><code>&lt;br&gt;</code></p>\n")
})

test("many tags without their other half take no time", () => {
  const html = render("<sub>".repeat(20_000))

  assert.doesNotMatch(html, /<sub>/)
})
