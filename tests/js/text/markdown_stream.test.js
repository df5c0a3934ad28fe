import assert from "node:assert/strict"
import { test } from "node:test"

import { parseBlocks } from "../../../static/js/text/markdown.js"
import { MarkdownStream } from "../../../static/js/text/markdown_stream.js"
import { seededRandom } from "../fakes.js"

const htmlOf = (blocks) => blocks.map(({ html }) => html).join("")
const whole = (source) => htmlOf(parseBlocks(source.replace(/\r\n?/g, "\n"), { references: {} }))

function streamed(pieces, definitions = {}) {
  const stream = new MarkdownStream({ definitions })
  let settled = ""
  let tail = ""
  for (const piece of pieces) {
    stream.append(piece)
    const read = stream.read()
    settled += htmlOf(read.settled)
    tail = htmlOf(read.tail)
  }
  return { html: settled + tail, definitions: stream.definitions() }
}

/** As the page does it: read again at the end where links were defined. */
function streamedToTheEnd(pieces) {
  const first = streamed(pieces)
  const hasDefinitions = Object.keys(first.definitions).length > 0
  return hasDefinitions ? streamed(pieces, first.definitions).html : first.html
}

const SAMPLES = {
  "a list after a list": "1. a\n\n2. b\n3. c\n\n- d\n- e\n\n\ntext",
  "a heading that was underlined late": "Title\n===\n\nother\n---\nmore",
  "a rule that began as a list": "- a\n\n---\n\nb",
  "a table after a paragraph": "see\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n\nafter",
  "a code block with blank lines": "x\n\n```py\na\n\n\nb\n```\ny",
  "a code block that never ends": "x\n\n~~~\na\n\nb",
  "an indented code block in two parts": "    a\n\n    b\n\nc",
  "a hash tag that is no heading": "para\n#hashtag\n# heading",
  "emphasis that is no rule": "para\n***bold***\n***\nend",
  "a link defined after its use": "[x] and [y][x]\n\nmore\n\n[x]: https://example.com\n\nend",
  "headings at several depths": "## a\n\ntext\n\n### b\n\ntext\n\n### c\n\n# d\n\n## e\n\ntext",
  "a quotation with a lazy line": "> a\nb\n\n> c",
}

for (const [name, source] of Object.entries(SAMPLES)) {
  test(`cut anywhere, the result is the same: ${name}`, () => {
    for (let cut = 0; cut <= source.length; cut += 1) {
      assert.equal(streamedToTheEnd([source.slice(0, cut), source.slice(cut)]), whole(source), `cut at ${cut}`)
    }
    assert.equal(streamedToTheEnd([...source]), whole(source), "character by character")
  })
}

test("character by character, two thousand made-up texts come out as if read at once", () => {
  const parts = [
    "a",
    "1. ",
    "2. ",
    "- ",
    "\n",
    "\n\n",
    "# ",
    "### ",
    "## ",
    "> ",
    "```",
    "```py\n",
    "|a|b|\n|--|:-:|\n|1|2|",
    "***",
    "---",
    "  ",
    "    ",
    "=",
    "[x]: http://e.com\n",
    "[x] ",
    "word ",
    "`",
    "~~~\n",
    "1",
    "*b*",
    "\t",
    "+",
    "\\",
    "1) ",
    "$$",
    "$",
    "\\[",
    "\\]",
  ]
  const random = seededRandom(7)
  const pick = (count) => Math.floor(random() * count)
  for (let text = 0; text < 2000; text += 1) {
    const source = Array.from({ length: 2 + pick(9) }, () => parts[pick(parts.length)]).join("")
    assert.equal(streamedToTheEnd([...source]), whole(source), JSON.stringify(source))
  }
})

test("line breaks of Windows are line breaks, even cut in half", () => {
  assert.equal(streamedToTheEnd(["a\r", "\n\r\n", "b\r\n"]), whole("a\n\nb\n"))
})

test("what is settled is given once and never read again", () => {
  const stream = new MarkdownStream()
  stream.append("first\n\nsecond\n\nthird")
  const first = stream.read()
  stream.append(" goes on")

  const second = stream.read()

  assert.equal(htmlOf(first.settled), "<p>first</p>\n<p>second</p>\n")
  assert.equal(htmlOf(second.settled), "")
  assert.equal(htmlOf(second.tail), "<p>third goes on</p>\n")
})

test("the work per piece does not grow with the answer", () => {
  const stream = new MarkdownStream()
  const tails = []
  for (let count = 0; count < 300; count += 1) {
    stream.append(`Paragraph ${count} with some words.\n\n`)
    tails.push(stream.read().tail.length)
  }

  assert.equal(Math.max(...tails), 1)
})

test("half a link definition is not kept", () => {
  const stream = new MarkdownStream()
  stream.append("[x]: https://exam")
  stream.read()
  stream.append("ple.com/whole\n\n[x]\n\nend\n")

  stream.read()

  assert.equal(stream.definitions().X.href, "https://example.com/whole")
})

const numbered = (count, lineOf) => Array.from({ length: count }, (_, number) => lineOf(number)).join("")
const LONG = {
  "a list": numbered(95, (number) => `- item **${number}** with [a link][x]\n`),
  "a list whose items move apart": numbered(95, (number) => `- item ${number}\n${number > 50 ? "\n" : ""}`),
  "a numbered list with more in its items": numbered(65, (number) => `${number + 4}. item\n\n   ## Head\n   - inner\n`),
  "a list of ones": numbered(65, () => "1. item\nlazily goes on\n"),
  "a table": `| a | b |\n|---|--:|\n${numbered(95, (number) => `| row ${number} | **b** |\n`)}`,
  "a table without its last bar": `a | b\n---|---\n${numbered(61, (number) => `row ${number} | b\n`)}`,
  code: `\`\`\`py\n${numbered(185, (number) => `[x]: ${number}\n${number % 7 ? "" : "\n"}`)}\`\`\`\n`,
  "code behind spaces": `  ~~~~\n${numbered(120, (number) => `    line ${number}\n`)}~~~~\n`,
}
const AFTER = ["", "\nthe end", "the end\n", "\n# Title\n\n- another\n", "```\nx\n```\n", "\n[x]: http://e.com\n"]

for (const [name, long] of Object.entries(LONG)) {
  test(`in pieces, the result is the same: ${name}`, () => {
    for (const after of AFTER) {
      const source = `## Before\n\n${long}${after}`
      const begin = `## Before\n\n${long.slice(0, -40)}`
      const pieces = [...begin.match(/[\s\S]{1,97}/g), ...source.slice(begin.length)]
      assert.equal(streamedToTheEnd(pieces), whole(source), JSON.stringify(after))
    }
  })

  test(`the work per piece does not grow with it: ${name}`, () => {
    const stream = new MarkdownStream()
    const sizes = []
    for (const text of `${long}${long.trimEnd()}`.match(/[\s\S]{1,80}/g)) {
      stream.append(text)
      sizes.push(htmlOf(stream.read().tail).length)
    }
    assert.ok(Math.max(...sizes) < 6_000, `${Math.max(...sizes)} characters drawn anew`)
  })
}

test("what has no end yet is known as going on", () => {
  const kinds = (source) => parseBlocks(source, { references: {} }).map(({ goesOn, hasMore }) => [goesOn, hasMore])

  assert.deepEqual(kinds(LONG["a list"]), [
    [null, true],
    ["list", true],
    ["list", true],
    ["list", false],
  ])
  assert.deepEqual(kinds("- a\n- b\n"), [[null, false]])
})
