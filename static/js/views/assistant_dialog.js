import { gettext } from "../language/translate.js"
import { readingText } from "../text/reading_words.js"
import { part, setText, show } from "./dom.js"

/** Chooses who answers a conversation from here on, and says what the next message will cost then. */
export class AssistantDialog {
  #dialog
  #assistants
  #estimate
  #change
  #conversation = null

  /**
   * `assistants` are the page's; `estimate(conversationId, assistantId)` returns `{ tokens, usd }` or `{ message }`,
   * `change(conversationId, assistantId)` `{}` or `{ message }`.
   */
  constructor({ dialog, assistants, estimate, change }) {
    this.#dialog = dialog
    this.#assistants = assistants
    this.#estimate = estimate
    this.#change = change
    this.#choice.addEventListener("change", () => this.#tell())
    part(dialog, "change").addEventListener("click", () => this.#goOn())
  }

  open(conversation) {
    this.#conversation = conversation
    const others = this.#assistants.filter(({ id }) => id !== conversation.assistant_id)
    this.#choice.replaceChildren(...others.map(({ id, name, model }) => new Option(`${name} · ${model}`, id)))
    this.#choice.disabled = others.length === 0
    this.#fail("")
    this.#dialog.showModal()
    if (others.length > 0) this.#tell()
    else this.#say(gettext("There is no other assistant."))
  }

  get #choice() {
    return part(this.#dialog, "choice")
  }

  // Of two answers the one for the present choice counts.
  async #tell() {
    const { id } = this.#conversation
    const chosen = this.#choice.value
    this.#say(gettext("Asking what that costs…"))
    const told = await this.#estimate(id, chosen)
    if (id !== this.#conversation.id || chosen !== this.#choice.value) return
    this.#say(readingText(told))
    part(this.#dialog, "change").disabled = false
  }

  async #goOn() {
    const button = part(this.#dialog, "change")
    button.disabled = true
    const { message = "" } = await this.#change(this.#conversation.id, this.#choice.value)
    button.disabled = false
    if (message === "") this.#dialog.close()
    else this.#fail(message)
  }

  #say(text) {
    setText(part(this.#dialog, "cost"), text)
    part(this.#dialog, "change").disabled = true
  }

  #fail(message) {
    setText(part(this.#dialog, "error"), message)
    show(part(this.#dialog, "error"), message !== "")
  }
}
