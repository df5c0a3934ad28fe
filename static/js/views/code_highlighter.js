import { codeFragment } from "./sanitizer.js"

// For longer code, colouring would block the page for too long.
const MAX_CHARS = 20_000

/** Colours finished code blocks. The library is fetched when the first one appears. */
export class CodeHighlighter {
  #load
  #library = null

  /** `load()` imports highlight.js. */
  constructor({ load }) {
    this.#load = load
  }

  /** Colours `element` in place if the language is known; otherwise leaves it plain. */
  async highlight(element, language) {
    const code = element.textContent
    if (language === "" || code.length > MAX_CHARS) return
    const library = await this.#get()
    if (library === null || !library.getLanguage(language)) return
    element.replaceChildren(codeFragment(library.highlight(code, { language, ignoreIllegals: true }).value))
  }

  async #get() {
    this.#library ??= this.#load().then(
      (module) => module.default,
      () => null,
    )
    return this.#library
  }
}
