import { part, setText, show } from "./dom.js"

const PRODUCT = "Warmcache"

/** The title and assistant of the open conversation: above the messages and in the tab's title. */
export class ConversationHeader {
  #root

  constructor({ root }) {
    this.#root = root
  }

  showTitle(title) {
    setText(part(this.#root, "title"), title || "New chat")
    document.title = title ? `${title} · ${PRODUCT}` : PRODUCT
  }

  /** Before the first message there is nothing to print. */
  allowPrinting(isAllowed) {
    show(part(this.#root, "print"), isAllowed)
  }

  showAssistant({ name, model }) {
    setText(part(this.#root, "assistant"), `${name} · ${model}`)
  }
}
