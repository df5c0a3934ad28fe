import { gettext } from "../language/translate.js"
import { copiesOnClick } from "./clipboard.js"
import { part, setText, show } from "./dom.js"

/** Says what a shared link makes public, makes one, and shows it once. */
export class ShareDialog {
  #dialog
  #share
  #conversation = null

  /** `share(conversationId, days)` returns `{ url }` or `{ message }`. */
  constructor({ dialog, share }) {
    this.#dialog = dialog
    this.#share = share
    part(dialog, "make").addEventListener("click", () => this.#make())
    copiesOnClick(part(dialog, "copy"), () => part(dialog, "link").value)
    part(dialog, "link").addEventListener("focus", ({ target }) => target.select())
  }

  open(conversation) {
    this.#conversation = conversation
    setText(part(this.#dialog, "title"), conversation.title)
    this.#show({ url: null })
    this.#dialog.showModal()
  }

  async #make() {
    const conversation = this.#conversation
    const make = part(this.#dialog, "make")
    make.disabled = true
    const { url = null, message = "" } = await this.#share(conversation.id, part(this.#dialog, "days").value)
    make.disabled = false
    if (conversation !== this.#conversation) return
    this.#show({ url, message })
    if (url !== null) part(this.#dialog, "link").focus()
  }

  #show({ url, message = "" }) {
    const isMade = url !== null
    part(this.#dialog, "link").value = url ?? ""
    for (const name of ["made", "copy"]) show(part(this.#dialog, name), isMade)
    for (const name of ["make", "choice"]) show(part(this.#dialog, name), !isMade)
    setText(part(this.#dialog, "error"), message)
    show(part(this.#dialog, "error"), message !== "")
    setText(part(this.#dialog, "close"), isMade ? gettext("Done") : gettext("Cancel"))
  }
}
