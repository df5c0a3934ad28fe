import { gettext, gettext_noop } from "../language/translate.js"

const NO_ANSWER = gettext_noop("The archive could not be sent. Try again.")

/** Sends an archive of conversations, by plain HTTP. */
export class ImportRequests {
  #url
  #csrfToken
  #fetch

  /** `fetch` is the browser's. */
  constructor({ url, csrfToken, fetch }) {
    this.#url = url
    this.#csrfToken = csrfToken
    this.#fetch = fetch
  }

  /** Returns `{ conversations }`, how many there are now more, or `{ message }` for the person. */
  async send(file) {
    const body = new FormData()
    body.append("file", file)
    try {
      const headers = { "X-CSRFToken": this.#csrfToken }
      const response = await this.#fetch(this.#url, { method: "POST", headers, body })
      const { conversations, message } = await response.json()
      return response.ok ? { conversations } : { message: message ?? gettext(NO_ANSWER) }
    } catch {
      return { message: gettext(NO_ANSWER) }
    }
  }
}
