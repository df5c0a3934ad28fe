import MarkdownIt from "markdown-it"

import { withoutMarks } from "./citation_marks.js"
import { withCjkEmphasis } from "./cjk_emphasis.js"
import { withFootnotes } from "./footnotes.js"
import { safeHref, unsaidTarget, withoutInvisible } from "./link_policy.js"
import { withMaths } from "./maths.js"
import { plainTag } from "./plain_tags.js"

// How much of a long block is drawn anew when it grows.
const LINES_PER_PIECE = 60
const ROWS_PER_PIECE = 30
const ITEMS_PER_PIECE = 30
const LISTS = new Set(["bullet_list_open", "ordered_list_open"])
const CODE = new Set(["fence", "code_block", "code_inline", "maths_block", "maths_display", "maths_inline"])

const markdown = new MarkdownIt("default", { html: false, linkify: true, typographer: false, breaks: true })

markdown.inline.State = withCjkEmphasis(markdown.inline.State)
markdown.inline.ruler.before("autolink", "plain_tag", plainTag)
withMaths(markdown)
withFootnotes(markdown)

// "README.md" is a file name far more often than a site in Moldova.
markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false })
markdown.validateLink = (address) => safeHref(address) !== null
// What was checked is what is written: `https:admin/` would lead to another place from a page than it does by itself.
const normalize = markdown.normalizeLink
markdown.normalizeLink = (address) => safeHref(normalize(address)) ?? address
markdown.core.ruler.push("code_without_marks", cleanCode)
markdown.core.ruler.push("visible_link_text", cleanLinkTexts)
markdown.core.ruler.push("heading_outline", nestHeadings)
markdown.core.ruler.push("task_boxes", drawTaskBoxes)
markdown.renderer.rules.image = imageAsLink
markdown.renderer.rules.link_close = linkEndWithTarget
markdown.renderer.rules.th_open = markdown.renderer.rules.td_open = cellWithClass

// Code is copied and run: a citation mark in it is shown after it.
function cleanCode({ tokens }) {
  for (const token of tokens.flatMap((each) => [each, ...(each.children ?? [])])) {
    if (CODE.has(token.type)) token.content = withoutMarks(token.content)
  }
}

function cleanLinkTexts({ tokens }) {
  for (const { children } of tokens) cleanTextsInside(children ?? [])
}

function cleanTextsInside(inline) {
  let depth = 0
  for (const token of inline) {
    if (token.type === "link_open") depth += 1
    else if (token.type === "link_close") depth -= 1
    else if (depth > 0) Object.assign(token, { content: withoutInvisible(token.content), meta: { isInLink: true } })
  }
}

// Heading levels follow their nesting below the page's own title: a reply may begin with any level.
function nestHeadings({ tokens, env }) {
  const above = [...(env.headings ?? [])]
  for (const token of tokens) {
    if (token.level === 0 && LISTS.has(token.type)) token.meta = { headings: [...above] }
    if (token.type !== "heading_open" && token.type !== "heading_close") continue
    if (token.type === "heading_open") goBelow(above, Number(token.tag.slice(1)))
    token.tag = `h${Math.min(6, above.length + 1)}`
  }
  env.headings = above
}

function goBelow(above, rank) {
  while (above.at(-1) >= rank) above.pop()
  above.push(rank)
}

// A task list item gets a box that is visible and read aloud but cannot be pressed: the text is the model's.
function drawTaskBoxes({ tokens }) {
  for (const [index, { type, children }] of tokens.entries()) {
    const [first] = children ?? []
    if (type !== "inline" || first?.type !== "text" || tokens[index - 2]?.type !== "list_item_open") continue
    first.content = first.content.replace(/^\[([ xX])\](?=\s)/, (_, mark) => (mark === " " ? "☐" : "☑"))
  }
}

// An image is a request to a foreign server, and its address can leak anything in the text.
function imageAsLink(tokens, index) {
  const { escapeHtml } = markdown.utils
  const image = tokens[index]
  const label = escapeHtml(withoutInvisible(`Image: ${image.content || "without a description"}`))
  const href = safeHref(image.attrGet("src") ?? "")
  if (href === null || image.meta?.isInLink) return label
  return `<a href="${escapeHtml(href)}">${label}${targetOf(href, image.content)}</a>`
}

// A link's text is the model's and may name any site: the one it leads to stands behind it.
function linkEndWithTarget(tokens, index) {
  const start = tokens.findLastIndex(({ type }, place) => place < index && type === "link_open")
  const text = tokens.slice(start + 1, index).map(({ content }) => content)
  return `${targetOf(tokens[start].attrGet("href"), text.join(""))}</a>`
}

function targetOf(href, text) {
  const target = unsaidTarget(href, text)
  return target === null ? "" : `<span class="link-target"> (${markdown.utils.escapeHtml(target)})</span>`
}

// markdown-it aligns table cells by a style attribute, which the content security policy refuses.
function cellWithClass(tokens, index, options, _env, renderer) {
  const cell = tokens[index]
  const side = /text-align:(left|right|center)/.exec(cell.attrGet("style") ?? "")?.[1]
  cell.attrs = side === undefined ? null : [["class", `cell--${side}`]]
  return renderer.renderToken(tokens, index, options)
}

/**
 * The top-level blocks of `source`: `{ html, startLine, isOpenFence, code, language }`. `env` carries
 * what one part of a text means for the next: `references` (link definitions) and `headings` (the enclosing ones).
 * The HTML is not yet sanitised.
 *
 * Long lists, tables and code blocks come in pieces, so that a page need not draw all of one for each new word:
 * `goesOn` is what all but a block's first piece go on with (`list`, `table`, `code`, or null), and `hasMore` says that
 * another piece follows. A table's piece is a table without a head. A text may begin within such a block: `env.within`
 * is the `within` of the piece that it begins with.
 */
export function parseBlocks(source, env) {
  const within = env.within ?? null
  const head = within?.head ?? ""
  const tokens = markdown.parse(head + source, env)
  const blocks = splitTopLevel(tokens).flatMap((group, place) =>
    toPieces({ group, source: head + source, env, within: place === 0 ? within : null }),
  )
  const headLines = head.split("\n").length - 1
  for (const block of blocks) block.startLine = Math.max(0, block.startLine - headLines)
  return blocks
}

function splitTopLevel(tokens) {
  const groups = []
  let current = []
  for (const token of tokens) {
    current.push(token)
    if (token.level !== 0 || token.nesting === 1) continue
    groups.push(current)
    current = []
  }
  return groups
}

function toPieces({ group, source, env, within }) {
  const [first] = group
  if (first.type === "fence") return codePieces(first, source, env, within)
  if (first.type === "table_open") return tablePieces(group, source, env, within)
  if (LISTS.has(first.type)) return listPieces(group, source, env, within)
  return [piece(first.map[0], () => render(group, env))]
}

const piece = (startLine, html, more = {}) => ({
  startLine,
  isOpenFence: false,
  code: null,
  language: null,
  goesOn: null,
  hasMore: false,
  within: null,
  ...more,
  get html() {
    return html()
  },
})

const render = (tokens, env) => markdown.renderer.render(tokens, markdown.options, env)

function codePieces(fence, source, env, within) {
  const [startLine] = fence.map
  const lines = fence.content.split(/(?<=\n)/)
  const head = linesOf(source, startLine, startLine + 1)
  const parts = inParts(lines, LINES_PER_PIECE)
  if (parts.length === 0) parts.push([])
  return parts.map((part, place) => {
    const code = part.join("")
    const isLast = place === parts.length - 1
    const isFirst = place === 0 && within === null
    return piece(
      isFirst ? startLine : startLine + 1 + place * LINES_PER_PIECE,
      () => render([Object.assign(Object.create(fence), { content: code })], env),
      {
        code,
        language: languageOf(fence.info),
        isOpenFence: isLast && isUnclosed(fence, source),
        goesOn: isFirst ? null : "code",
        hasMore: !isLast,
        within: { head },
      },
    )
  })
}

// Every row is a line.
function tablePieces(group, source, env, within) {
  const [startLine] = group[0].map
  const bodyStart = group.findIndex(({ type }) => type === "tbody_open")
  const top = bodyStart < 0 ? group.slice(0, -1) : group.slice(0, bodyStart)
  const rows = bodyStart < 0 ? [] : splitAfter(group.slice(bodyStart + 1, -2), "tr_close")
  const body = (part) => (part.length > 0 ? [group[bodyStart], ...part.flat(), group.at(-2)] : [])
  const head = linesOf(source, startLine, startLine + 2)
  const parts = inParts(rows, ROWS_PER_PIECE)
  if (parts.length === 0 && within === null) parts.push([])
  return parts.map((part, place) => {
    const isFirst = place === 0 && within === null
    return piece(
      isFirst ? startLine : startLine + 2 + place * ROWS_PER_PIECE,
      () => render([...(isFirst ? top : [group[0]]), ...body(part), group.at(-1)], env),
      { goesOn: isFirst ? null : "table", hasMore: place < parts.length - 1, within: { head } },
    )
  })
}

// Each is a list by itself, so that a later blank line between two items moves none that has been read.
function listPieces(group, source, env, within) {
  const [list] = group
  const starts = group.filter(({ type, level }) => type === "list_item_open" && level === 1).map(({ map }) => map[0])
  const parts = inParts(starts, ITEMS_PER_PIECE)
  const firstNumber = within?.number ?? Number(list.attrGet("start") ?? 1)
  const inner = { references: env.references, headings: list.meta.headings }
  return parts.map(([startLine], place) => {
    const number = firstNumber + place * ITEMS_PER_PIECE
    const goesOn = place > 0 || within !== null
    const lines = linesOf(source, startLine, parts[place + 1]?.[0] ?? list.map[1])
    const tokens = parts.length > 1 ? markdown.parse(lines, inner) : group
    if (goesOn) goOnAt(tokens[0], number)
    return piece(startLine, () => render(tokens, env), {
      goesOn: goesOn ? "list" : null,
      hasMore: place < parts.length - 1,
      within: { number },
    })
  })
}

function goOnAt(list, number) {
  list.attrJoin("class", "list-more")
  if (list.type === "ordered_list_open") list.attrSet("start", String(number))
}

function splitAfter(tokens, type) {
  const groups = []
  for (const token of tokens) {
    if (groups.length === 0 || groups.at(-1).at(-1).type === type) groups.push([])
    groups.at(-1).push(token)
  }
  return groups
}

function inParts(items, count) {
  const parts = []
  for (let place = 0; place < items.length; place += count) parts.push(items.slice(place, place + count))
  return parts
}

const linesOf = (source, from, to) => `${source.split("\n").slice(from, to).join("\n")}\n`

function isUnclosed({ map, markup }, source) {
  const lines = source.split("\n")
  const last = lines[map[1] - 1] ?? ""
  const closing = last.trim()
  const isFence = closing.length >= markup.length && closing === markup[0].repeat(closing.length)
  return !(isFence && map[1] - map[0] > 1)
}

const languageOf = (info) => /^[\w+#.-]+/.exec(info.trim())?.[0] ?? ""
