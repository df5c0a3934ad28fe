import assert from "node:assert/strict"
import { test } from "node:test"

import { markOf, splitAtMarks, withMark, withoutGuards, withoutMarks } from "../../../static/js/text/citation_marks.js"
import { parseBlocks } from "../../../static/js/text/markdown.js"
import { MarkdownStream } from "../../../static/js/text/markdown_stream.js"

const MARK = markOf(1)

/** What a person sees: the marks as `[1]`. */
function drawn(source) {
  const html = parseBlocks(source, {}).map((block) => block.html)
  return splitAtMarks(html.join(""))
    .map((piece) => (typeof piece === "number" ? `[${piece}]` : piece))
    .join("")
}

test("a text is split where its marks stand, and is whole without them", () => {
  const text = `59 F${MARK} for${markOf(12)} now`

  assert.deepEqual(splitAtMarks(text), ["59 F", 1, " for", 12, " now"])
  assert.equal(withoutMarks(text), "59 F for now")
})

test("no text from outside can hold a mark", () => {
  assert.deepEqual(splitAtMarks(withoutGuards(`x${MARK}`)).length, 1)
})

for (const [place, text, expected] of [
  ["before a line break", "A.\n\n", `A.${MARK}\n\n`],
  ["in the last cell of a row", "| a | b |\n", `| a | b ${MARK}|\n`],
  ["below a block of code", "```\nx\n```\n", `\`\`\`\nx\n\`\`\`\n\n${MARK}\n\n`],
  ["at the start of nothing", "", MARK],
]) {
  test(`a mark stands ${place}`, () => {
    assert.equal(withMark(text, MARK), expected)
  })
}

for (const [beside, source, expected] of [
  ["emphasis", `**It is warm.**${MARK} So`, "<p><strong>It is warm.</strong>[1] So</p>\n"],
  ["emphasis that opens", `See${MARK}**bold**`, "<p>See[1]<strong>bold</strong></p>\n"],
  ["an address", `https://a.example/x${MARK}.`, '<p><a href="https://a.example/x">https://a.example/x</a>[1].</p>\n'],
  ["a list item", `- a${MARK}\n- b`, "<ul>\n<li>a[1]</li>\n<li>b</li>\n</ul>\n"],
  ["a heading", `# T${MARK}\n\nx`, "<h2>T[1]</h2>\n<p>x</p>\n"],
]) {
  test(`a mark beside ${beside} changes nothing else`, () => {
    assert.equal(drawn(source), expected)
  })
}

test("code has no mark in it", () => {
  assert.equal(drawn(`\`a${MARK}b\``), "<p><code>ab</code></p>\n")
  assert.equal(parseBlocks(`~~~\na${MARK}b\n`, {})[0].code, "ab\n")
})

test("a text that is cited in pieces is one text, with its marks in place", () => {
  const stream = new MarkdownStream()
  let settled = ""
  const read = () => {
    const { settled: blocks, tail } = stream.read()
    settled += blocks.map(({ html }) => html).join("")
    return settled + tail.map(({ html }) => html).join("")
  }
  for (const [text, number] of [
    ["Here:\n\n- today"],
    [" 59 F", 1],
    ["\n- tomorrow"],
    [" **60 F**\n\n", 2],
    ["Enough."],
  ]) {
    stream.append(text)
    if (number !== undefined) stream.mark(number)
    read()
  }

  const whole = `Here:\n\n- today 59 F${markOf(1)}\n- tomorrow **60 F**${markOf(2)}\n\nEnough.`
  assert.equal(
    read(),
    parseBlocks(whole, {})
      .map(({ html }) => html)
      .join(""),
  )
})
