import { setText, show } from "./dom.js"
import { CloseCode } from "./protocol.js"

// Most reconnects are done before a person would notice; a flash of text would only worry them.
const PATIENCE_MS = 1_200

const ENDED = {
  [CloseCode.forbidden]: "The server refuses this connection. Reload the page, or ask whoever runs it.",
  [CloseCode.abuse]:
    "The server closed this connection because too much was sent. Wait a little, then reload the page.",
  [CloseCode.signedOut]: "You are signed out. What you have written is kept.",
}

/** What a person should know about the connection, or null while all is well. */
export function connectionText({ state, code }) {
  if (state === "ended") return ENDED[code] ?? "The connection is closed. Reload the page."
  if (state === "waiting" && code === CloseCode.restarting) return "The server restarts. Reconnecting…"
  return state === "ready" ? null : "Reconnecting… You can go on writing."
}

/** Says when the connection is away, after a moment of patience. */
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
