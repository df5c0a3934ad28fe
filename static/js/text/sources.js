import { gettext } from "../language/translate.js"
import { safeHref, withoutInvisible } from "./link_policy.js"

const MAX_TITLE_CHARS = 160

/** The sources that one reply cites, numbered from 1 in the order of their first citation. */
export class Sources {
  #byKey = new Map()

  get all() {
    return [...this.#byKey.values()]
  }

  /** The sources of these citations, each once; new ones get the next numbers. */
  cite(citations) {
    const cited = new Set()
    for (const citation of citations ?? []) {
      const source = sourceOf(citation)
      const key = source.href ?? JSON.stringify([source.title, source.place, citation.document_index])
      if (!this.#byKey.has(key)) this.#byKey.set(key, { ...source, number: this.#byKey.size + 1 })
      cited.add(this.#byKey.get(key))
    }
    return [...cited]
  }
}

/** The sources as lines of plain text, for a copied reply. */
export const sourceLines = (sources) =>
  sources.map(({ number, title, place, href }) => `[${number}] ${[title, place, href].filter(Boolean).join(", ")}`)

// `href` is null unless it is a page on the web; then `host` says whose.
function sourceOf(citation) {
  const href = webAddress(citation.url ?? citation.source)
  const host = href === null ? null : new URL(href).host
  const named = citation.title ?? citation.document_title ?? (href === null ? citation.source : null)
  const title = withoutInvisible(String(named ?? "")).trim() || host || documentName(citation)
  return { title: shortened(title), href, host, place: placeOf(citation) }
}

function webAddress(address) {
  const href = typeof address === "string" ? safeHref(address) : null
  return href !== null && /^https?:/.test(href) ? href : null
}

const documentName = ({ document_index: index }) =>
  Number.isInteger(index) ? gettext("Document {number}", { number: index + 1 }) : gettext("Source")

// The end of a range of pages is the page after it.
function placeOf({ start_page_number: first, end_page_number: end }) {
  if (!Number.isInteger(first)) return null
  const last = Math.max(first, (end ?? 0) - 1)
  return first === last ? `page ${first}` : `pages ${first}–${last}`
}

const shortened = (title) => (title.length > MAX_TITLE_CHARS ? `${title.slice(0, MAX_TITLE_CHARS)}…` : title)
