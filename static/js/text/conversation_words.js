const TITLE_CHARS = 60

/** The title of a new conversation until the server tells its own: the first line of the first message. */
export function firstWords(text) {
  const line = text.trim().split("\n")[0]
  return line.length > TITLE_CHARS ? `${line.slice(0, TITLE_CHARS - 1)}…` : line
}

/** What a screen reader hears when earlier messages have come. */
export const earlierText = (count) =>
  count === 1 ? "1 earlier message is shown." : `${count} earlier messages are shown.`
