/** The title of a new conversation until the server sends one: the first line of the first message. */
export function firstWords(text, maxChars) {
  const line = text.trim().split("\n")[0]
  return line.length > maxChars ? `${line.slice(0, maxChars - 1)}…` : line
}

/** What a screen reader says when earlier messages are loaded. */
export const earlierText = (count) =>
  count === 1 ? "1 earlier message is shown." : `${count} earlier messages are shown.`
