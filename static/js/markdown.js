import MarkdownIt from "markdown-it"

import { safeHref, withoutInvisible } from "./link_policy.js"

const markdown = new MarkdownIt("default", { html: false, linkify: true, typographer: false })

// "README.md" is a file name far more often than a site in Moldova.
markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false })
markdown.validateLink = (address) => safeHref(address) !== null
markdown.core.ruler.push("visible_link_text", cleanLinkTexts)
markdown.renderer.rules.image = imageAsLink
markdown.renderer.rules.heading_open = markdown.renderer.rules.heading_close = headingBelowTitle
markdown.renderer.rules.th_open = markdown.renderer.rules.td_open = cellWithClass

function cleanLinkTexts({ tokens }) {
  for (const { children } of tokens) {
    let depth = 0
    for (const token of children ?? []) {
      if (token.type === "link_open") depth += 1
      else if (token.type === "link_close") depth -= 1
      else if (depth > 0) token.content = withoutInvisible(token.content)
    }
  }
}

// An image is a request to somebody else's server, and its address can carry away what it likes.
function imageAsLink(tokens, index) {
  const { escapeHtml } = markdown.utils
  const image = tokens[index]
  const label = escapeHtml(withoutInvisible(`Image: ${image.content || "without a description"}`))
  const href = safeHref(image.attrGet("src") ?? "")
  const isInLink = linkDepthAt(tokens, index) > 0
  return href === null || isInLink ? label : `<a href="${escapeHtml(href)}">${label}</a>`
}

function linkDepthAt(tokens, index) {
  const opened = tokens.slice(0, index).filter(({ type }) => type === "link_open").length
  const closed = tokens.slice(0, index).filter(({ type }) => type === "link_close").length
  return opened - closed
}

// The page's one first-level heading is the conversation's title.
function headingBelowTitle(tokens, index, options, env, renderer) {
  const heading = tokens[index]
  const level = Math.min(6, heading.markup === "=" ? 2 : heading.markup === "-" ? 3 : heading.markup.length + 1)
  heading.tag = `h${level}`
  return renderer.renderToken(tokens, index, options)
}

// markdown-it aligns table cells by a style attribute, which the content security policy refuses.
function cellWithClass(tokens, index, options, env, renderer) {
  const cell = tokens[index]
  const side = /text-align:(left|right|center)/.exec(cell.attrGet("style") ?? "")?.[1]
  cell.attrs = side === undefined ? null : [["class", `cell--${side}`]]
  return renderer.renderToken(tokens, index, options)
}

/**
 * The top-level blocks of `source`: `{ html, startLine, isOpenFence, code, language }`. `env` carries the link
 * definitions from one part of a text to the next. The HTML is not yet sanitised.
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
  const isClosed = map[1] - map[0] > 1 && closing.length >= markup.length && closing === markup[0].repeat(closing.length)
  return !isClosed
}

const languageOf = (info) => /^[\w+#.-]+/.exec(info.trim())?.[0] ?? ""
