import { connectionText } from "../text/connection_words.js"
import { setText, show } from "./dom.js"

// Most reconnects finish before a person notices; a flash of text would only worry them.
const PATIENCE_MS = 1_200

/** Says that the connection is lost, after a short delay. */
export class ConnectionNotice {
  #element
  #timers
  #timer = null
  #text = null

  constructor({ element, timers }) {
    this.#element = element
    this.#timers = timers
  }

  show(status) {
    this.#element.dataset.state = status.state
    this.#text = connectionText(status)
    if (this.#text === null || status.state === "ended" || !this.#element.hidden) this.#tell()
    else this.#timer ??= this.#timers.set(() => this.#tell(), PATIENCE_MS)
  }

  #tell() {
    this.#timers.clear(this.#timer)
    this.#timer = null
    setText(this.#element, this.#text ?? "")
    show(this.#element, this.#text !== null)
  }
}
