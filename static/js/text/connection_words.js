import { gettext, gettext_noop } from "../language/translate.js"
import { CloseCode } from "../transport/protocol.js"

const ENDED = {
  [CloseCode.forbidden]: gettext_noop("The server refuses this connection. Reload the page, or ask whoever runs it."),
  [CloseCode.abuse]: gettext_noop(
    "The server closed this connection because too much was sent. Wait a little, then reload the page.",
  ),
  [CloseCode.tooMany]: gettext_noop("Too many pages of this chat are open. Close some of them, then reload this one."),
  [CloseCode.signedOut]: gettext_noop("You are signed out. What you have written is kept."),
}

/** What a person should know about the connection, or null if it works. */
export function connectionText({ state, code }) {
  if (state === "ended") return gettext(ENDED[code] ?? gettext_noop("The connection is closed. Reload the page."))
  if (state === "waiting" && code === CloseCode.restarting) return gettext("The server restarts. Reconnecting…")
  return state === "ready" ? null : gettext("Reconnecting… You can go on writing.")
}
