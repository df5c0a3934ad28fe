// Thinking and tool calls in words.

const CALLS = Object.freeze({
  asked: "Wants to call a tool",
  declined: "Did not call a tool",
})

/**
 * What stands over a folded block; `tookMs` is null where nobody has measured it, `consent` where nobody was asked or
 * the call was allowed, else `asked` or `declined`.
 */
export function blockTitle({ kind, name, isFinished, tookMs, consent = null }) {
  if (kind === "thinking") return isFinished ? `Thought${durationText(tookMs)}` : "Thinking…"
  if (kind === "note") return "What the chat told the model"
  if (kind !== "tool_input") return kind
  const title = CALLS[consent] ?? (isFinished ? "Called a tool" : "Calling a tool…")
  return name ? `${title} (${name})` : title
}

function durationText(tookMs) {
  if (tookMs === null) return ""
  const seconds = Math.max(1, Math.round(tookMs / 1000))
  return seconds < 60 ? ` for ${seconds} s` : ` for ${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

/** The input of a call, laid out if it is whole. */
export function inputText(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2)
  } catch {
    return json
  }
}

/** The result of a call, from the `data` of its block: pages by title and address, anything else as it is. */
export function resultText({ content, is_cut: isCut }) {
  if (isCut) return "The result is too long to be shown."
  if (content === undefined) return ""
  if (content?.error_code) return `It failed: ${content.error_code.replaceAll("_", " ")}.`
  return [content].flat().map(partText).join("\n")
}

function partText(part) {
  if (typeof part === "string") return part
  if (part?.type === "text") return part.text
  if (part?.url) return [part.title, part.url].filter(Boolean).join("\n  ")
  return JSON.stringify(part, null, 2)
}
