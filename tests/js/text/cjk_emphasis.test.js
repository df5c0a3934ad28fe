import assert from "node:assert/strict"
import { test } from "node:test"

import { parseBlocks } from "../../../static/js/text/markdown.js"

const render = (source) => parseBlocks(source, { references: {} })[0].html.replace(/^<p>|<\/p>\n$/g, "")

for (const [source, html] of [
  ["**注意：**重要", "<strong>注意：</strong>重要"],
  ["这是**“重要”**的", "这是<strong>“重要”</strong>的"],
  ['这是**"重要"**的', "这是<strong>&quot;重要&quot;</strong>的"],
  ["これは**「大事」**です", "これは<strong>「大事」</strong>です"],
  ["**한국어(Korean)**은", "<strong>한국어(Korean)</strong>은"],
  ["𠮷**（字）**𠮷", "𠮷<strong>（字）</strong>𠮷"],
  ["~~旧：~~新", "<s>旧：</s>新"],
  ["*注：*重要", "<em>注：</em>重要"],
]) {
  test(`emphasis needs no spaces in ${source}`, () => {
    assert.equal(render(source), html)
  })
}

for (const [source, html] of [
  ["a**b:**c", "a**b:**c"],
  ["snake_case_name", "snake_case_name"],
  ["字_强调_字", "字_强调_字"],
  ["5 ** 3 和 2 ** 4", "5 ** 3 和 2 ** 4"],
  ["** 注意 **", "** 注意 **"],
]) {
  test(`what was no emphasis stays none: ${source}`, () => {
    assert.equal(render(source), html)
  })
}
