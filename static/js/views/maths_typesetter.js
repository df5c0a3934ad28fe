// Longer ones would block the page for too long, and so would macros that grow.
const MAX_CHARS = 5_000
const OPTIONS = { throwOnError: true, strict: "ignore", trust: false, maxSize: 20, maxExpand: 200 }

/** Draws formulas in place of their source. KaTeX and its styles are fetched when the first one appears. */
export class MathsTypesetter {
  #load
  #library = null
  #katex = null

  /** `load()` imports KaTeX; `stylesheet` is the address of its styles. */
  constructor({ load, stylesheet }) {
    this.#load = () => Promise.all([load(), styled(stylesheet)])
  }

  /** Draws all formulas inside `element`; one that KaTeX does not understand stays as it is written. */
  typesetInside(element) {
    const waiting = [...element.querySelectorAll(".math:not([data-source])")]
    if (element.matches(".math:not([data-source])")) waiting.push(element)
    for (const formula of waiting) this.#typeset(formula)
  }

  async #typeset(formula) {
    const source = formula.textContent
    if (source.length > MAX_CHARS) return
    formula.dataset.source = source
    // Without waiting where possible: it is drawn in the same frame as the words around it.
    if (this.#katex === null) await this.#get()
    if (this.#katex === null || formula.dataset.source !== source) return
    try {
      formula.replaceChildren(drawn(this.#katex, source, formula.matches(".math--display")))
      formula.dataset.drawn = ""
    } catch {
      formula.classList.add("math--plain")
    }
  }

  #get() {
    this.#library ??= this.#load().then(
      ([module]) => {
        this.#katex = module.default
      },
      () => {},
    )
    return this.#library
  }
}

// KaTeX writes some styles as attributes, which the content security policy refuses: they are set afterwards.
function drawn(katex, source, displayMode) {
  const tree = katex.__renderToDomTree(source, { ...OPTIONS, displayMode })
  setAsideStyles(tree)
  const element = tree.toNode()
  for (const styled of element.querySelectorAll("[data-style]")) {
    styled.style.cssText = styled.dataset.style
    delete styled.dataset.style
  }
  return element
}

function setAsideStyles({ attributes, children = [] }) {
  if (attributes?.style !== undefined) {
    attributes["data-style"] = attributes.style
    delete attributes.style
  }
  for (const child of children) setAsideStyles(child)
}

function styled(address) {
  const link = document.createElement("link")
  link.rel = "stylesheet"
  link.href = address
  const isLoaded = new Promise((resolve) => {
    link.addEventListener("load", resolve)
    link.addEventListener("error", resolve)
  })
  document.head.append(link)
  return isLoaded
}
