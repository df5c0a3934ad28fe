import { codeFragment } from "./sanitizer.js"

// Beyond this, colouring would hold up the page for longer than colours are worth.
const MAX_CHARS = 20_000

/** Colours finished code blocks. The library is fetched when the first one appears. */
export class CodeHighlighter {
  #load
  #library = null

  /** `load()` imports highlight.js. */
  constructor({ load }) {
    this.#load = load
  }

  /** Colours `element` in place, where the language is known; leaves it plain otherwise. */
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
