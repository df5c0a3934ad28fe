import DOMPurify from "dompurify"

import { safeHref } from "../text/link_policy.js"

const PROSE = {
  ALLOWED_TAGS: [
    "a",
    "blockquote",
    "br",
    "code",
    "del",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "kbd",
    "li",
    "mark",
    "ol",
    "p",
    "pre",
    "s",
    "span",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
  ],
  ALLOWED_ATTR: ["class", "href", "start"],
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
}

const CODE = { ...PROSE, ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"] }

// The only classes that text may use: its own layout, never the page's.
const ALLOWED_CLASS =
  /^(cell--(left|right|center)|footnote(-mark)?|link-target|list-more|math(--display)?|language-[\w+#.-]+|hljs-[\w-]+|[a-z]+_{1,2})$/

DOMPurify.addHook("uponSanitizeAttribute", (_node, attribute) => {
  if (attribute.attrName === "class") keepAllowedClasses(attribute)
  if (attribute.attrName === "href") keepCheckedAddress(attribute)
})

function keepCheckedAddress(attribute) {
  const href = safeHref(attribute.attrValue)
  attribute.attrValue = href ?? ""
  attribute.keepAttr = href !== null
}

function keepAllowedClasses(attribute) {
  const classes = attribute.attrValue.split(/\s+/).filter((name) => ALLOWED_CLASS.test(name))
  attribute.attrValue = classes.join(" ")
  attribute.keepAttr = classes.length > 0
}

/** Rendered Markdown as a fragment with only harmless elements; its links open outside sites safely. */
export function proseFragment(html) {
  const fragment = DOMPurify.sanitize(html, PROSE)
  for (const link of fragment.querySelectorAll("a")) leadOutside(link)
  return fragment
}

/** Highlighted code as a fragment of spans. */
export const codeFragment = (html) => DOMPurify.sanitize(html, CODE)

/** Makes a link open outside this page, without telling where from. */
export function leadOutside(link) {
  if (!link.hasAttribute("href")) return
  link.rel = "noopener noreferrer nofollow"
  link.target = "_blank"
  link.title = link.href
}
