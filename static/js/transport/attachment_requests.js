import { gettext, gettext_noop } from "../language/translate.js"

const NO_ANSWER = gettext_noop("The file could not be sent. Try again.")

/** Uploads files to the server and deletes them, by plain HTTP. */
export class AttachmentRequests {
  #url
  #csrfToken
  #fetch

  /** `fetch` is the browser's. */
  constructor({ url, csrfToken, fetch }) {
    this.#url = url
    this.#csrfToken = csrfToken
    this.#fetch = fetch
  }

  /** Returns `{ id, name, bytes }`, of a picture also its `width` and `height`, or `{ message }` for the person. */
  async upload(file) {
    const form = new FormData()
    form.append("file", file)
    const response = await this.#post(this.#url, form)
    const isJson = response?.headers.get("Content-Type")?.startsWith("application/json") ?? false
    if (!isJson) return { message: gettext(NO_ANSWER) }
    const { id, name, bytes, width, height, message } = await response.json()
    return response.ok
      ? { id, name, bytes, ...(width > 0 && { width, height }) }
      : { message: message ?? gettext(NO_ANSWER) }
  }

  /** A failure does not matter: the server deletes unsent files some time later anyway. */
  async remove(id) {
    await this.#post(`${this.#url}${id}/delete/`, new FormData())
  }

  async #post(url, body) {
    try {
      return await this.#fetch(url, { method: "POST", headers: { "X-CSRFToken": this.#csrfToken }, body })
    } catch {
      return null
    }
  }
}
