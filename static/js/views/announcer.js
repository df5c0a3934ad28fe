import { gettext } from "../language/translate.js"

const MAX_CHARS = 400

/** Speaks to screen readers, politely: once per finished answer, never per token. */
export class Announcer {
  #region

  constructor({ region }) {
    this.#region = region
  }

  /** `reply` is a `ReplyView`. */
  replyFinished({ status, reply }) {
    const text = reply.spokenText(MAX_CHARS)
    const start = text.length > MAX_CHARS ? `${text.slice(0, MAX_CHARS)} …` : text
    this.say(
      status === "complete"
        ? gettext("Reply: {text}", { text: start })
        : gettext("The reply ended early. {text}", { text: start }),
    )
  }

  say(text) {
    this.#region.textContent = text
  }
}
