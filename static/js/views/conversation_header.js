import { gettext } from "../language/translate.js"
import { part, setText, show } from "./dom.js"

const PRODUCT = "Warmcache"
// The server's name for a chat that has none of its own.
const TEMPORARY = "Temporary chat"

/** The title and assistant of the open conversation: above the messages and in the tab's title. */
export class ConversationHeader {
  #root

  constructor({ root }) {
    this.#root = root
  }

  showTitle(title) {
    const shown = title === TEMPORARY ? gettext(title) : title
    setText(part(this.#root, "title"), shown || gettext("New chat"))
    document.title = shown ? `${shown} · ${PRODUCT}` : PRODUCT
  }

  /** Before the first message there is nothing to print. */
  allowPrinting(isAllowed) {
    show(part(this.#root, "print"), isAllowed)
  }

  showAssistant({ name, model }) {
    setText(part(this.#root, "assistant"), `${name} · ${model}`)
  }
}
