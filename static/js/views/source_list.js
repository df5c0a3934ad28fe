import { part, setText, show } from "./dom.js"
import { leadOutside } from "./sanitizer.js"

/** The list of sources below a reply. A link's host is always to be seen: its title is somebody else's text. */
export class SourceList {
  #root
  #shown = 0

  constructor(root) {
    this.#root = root
  }

  show(sources) {
    if (sources.length === this.#shown) return
    this.#shown = sources.length
    part(this.#root, "source-list").replaceChildren(...sources.map(itemOf))
    show(this.#root, sources.length > 0)
  }
}

/** The mark at the end of a cited passage: `[1]`, a link if its source is a page on the web. */
export function citationMark(source) {
  const mark = document.createElement("sup")
  mark.className = "cite"
  mark.append(linkOrText(source, `[${source.number}]`))
  mark.title = [source.title, source.place, source.host].filter(Boolean).join(", ")
  return mark
}

function itemOf(source) {
  const item = document.createElement("li")
  item.append(linkOrText(source, source.title))
  const where = document.createElement("span")
  where.className = "sources__where"
  setText(where, [source.host, source.place].filter(Boolean).join(", "))
  if (where.textContent !== "") item.append(" ", where)
  return item
}

function linkOrText({ href }, text) {
  if (href === null) {
    const plain = document.createElement("bdi")
    plain.textContent = text
    return plain
  }
  const link = document.createElement("a")
  link.href = href
  link.textContent = text
  leadOutside(link)
  return link
}
