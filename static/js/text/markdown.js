import MarkdownIt from "markdown-it"

import { withoutMarks } from "./citation_marks.js"
import { withCjkEmphasis } from "./cjk_emphasis.js"
import { withFootnotes } from "./footnotes.js"
import { safeHref, unsaidTarget, withoutInvisible } from "./link_policy.js"
import { withMaths } from "./maths.js"
import { plainTag } from "./plain_tags.js"

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
  for (const token of tokens.filter(({ type }) => type === "heading_open" || type === "heading_close")) {
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
 */
export function parseBlocks(source, env) {
  const tokens = markdown.parse(source, env)
  return splitTopLevel(tokens).map((group) => toBlock(group, source, env))
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

function toBlock(group, source, env) {
  const [first] = group
  const isFence = first.type === "fence"
  return {
    startLine: first.map[0],
    isOpenFence: isFence && isUnclosed(first, source),
    code: isFence ? first.content : null,
    language: isFence ? languageOf(first.info) : null,
    get html() {
      return markdown.renderer.render(group, markdown.options, env)
    },
  }
}

function isUnclosed({ map, markup }, source) {
  const lines = source.split("\n")
  const last = lines[map[1] - 1] ?? ""
  const closing = last.trim()
  const isFence = closing.length >= markup.length && closing === markup[0].repeat(closing.length)
  return !(isFence && map[1] - map[0] > 1)
}

const languageOf = (info) => /^[\w+#.-]+/.exec(info.trim())?.[0] ?? ""
