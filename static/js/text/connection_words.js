import { CloseCode } from "../transport/protocol.js"

const ENDED = {
  [CloseCode.forbidden]: "The server refuses this connection. Reload the page, or ask whoever runs it.",
  [CloseCode.abuse]:
    "The server closed this connection because too much was sent. Wait a little, then reload the page.",
  [CloseCode.tooMany]: "Too many pages of this chat are open. Close some of them, then reload this one.",
  [CloseCode.signedOut]: "You are signed out. What you have written is kept.",
}

/** What a person should know about the connection, or null if it works. */
export function connectionText({ state, code }) {
  if (state === "ended") return ENDED[code] ?? "The connection is closed. Reload the page."
  if (state === "waiting" && code === CloseCode.restarting) return "The server restarts. Reconnecting…"
  return state === "ready" ? null : "Reconnecting… You can go on writing."
}
