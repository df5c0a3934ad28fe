import assert from "node:assert/strict"
import { test } from "node:test"

import { parseBlocks } from "../../../static/js/text/markdown.js"
import { MarkdownStream } from "../../../static/js/text/markdown_stream.js"

const htmlOf = (blocks) => blocks.map(({ html }) => html).join("")
const render = (source) => htmlOf(parseBlocks(source, { references: {} }))
const inline = (tex) => `<span class="math">${tex}</span>`
const display = (tex) => `<p class="math math--display">${tex}</p>\n`

test("a formula in a line", () => {
  assert.equal(render("Let \\(x^2 < 1\\) be."), `<p>Let ${inline("x^2 &lt; 1")} be.</p>\n`)
  assert.equal(
    render("With $E = mc^2$, $x$ and $f(x)$."),
    `<p>With ${inline("E = mc^2")}, ${inline("x")} and ${inline("f(x)")}.</p>\n`,
  )
  assert.match(render("see $$a_1$$ there"), /<p>see <span class="math math--display">a_1<\/span> there<\/p>/)
})

test("a formula by itself, in one line or several", () => {
  assert.equal(render("$$x = 1$$"), display("x = 1"))
  assert.equal(render("\\[\nx\n= 1\n\\]"), display("x\n= 1"))
  assert.equal(render("So:\n$$\n- x\n- y\n$$\nend"), `<p>So:</p>\n${display("- x\n- y")}<p>end</p>\n`)
  assert.match(render("- so\n\n  $$\n  x\n  $$"), /<li>\n<p>so<\/p>\n<p class="math math--display">x<\/p>/)
})

for (const money of [
  "It costs $5 to $10.",
  "From $5-$10, or $5/$10.",
  "Between $1,000 and $2,000 (20% = $400).",
  "echo $HOME and $PATH",
  "US$ 5 = 5 US$",
  "$ 5 $",
  "A price of 5$ or 6$",
]) {
  test(`money stays money: ${money}`, () => {
    assert.doesNotMatch(render(money), /class="math/)
  })
}

test("in code nothing is a formula", () => {
  assert.doesNotMatch(render("`$x$` and `\\(x\\)`\n\n```\n$$x$$\n```"), /class="math/)
})

test("what is not closed is text", () => {
  assert.equal(render("$$\nx = 1\n\nend"), "<p>$$<br>\nx = 1</p>\n<p>end</p>\n")
  assert.equal(render("a \\(b"), "<p>a (b</p>\n")
})

test("a mark of a citation is no part of a formula", () => {
  const stream = new MarkdownStream()
  stream.append("$$x$$")
  stream.mark(1)

  assert.doesNotMatch(htmlOf(stream.read().tail), /class="math[^"]*">[^<]*\uFDD0/)
})

const SAMPLES = [
  "So:\n$$\n- x\n# y\n= 1\n$$\nend\n\n- a\n- b",
  "a\n\n\\[\nx\n\n\\]\n\nend",
  "text\n$$x$$ and more\n\nend",
  "text\n$$x$$\n\nmore $y$, $5 to $10\n\n$$a\nb$$",
]

for (const source of SAMPLES) {
  test(`cut anywhere, the result is the same: ${JSON.stringify(source)}`, () => {
    const whole = render(source)
    for (let cut = 0; cut <= source.length; cut += 1) {
      const stream = new MarkdownStream()
      stream.append(source.slice(0, cut))
      const first = stream.read()
      stream.append(source.slice(cut))
      const second = stream.read()
      assert.equal(htmlOf([...first.settled, ...second.settled, ...second.tail]), whole, `cut at ${cut}`)
    }
  })
}

test("many signs that open nothing take no time", () => {
  for (const sign of ["$", "$a ", "\\(", "\\[ ", "$$ "]) {
    assert.doesNotMatch(render(sign.repeat(20_000)), /nothing/)
  }
})
