// How a message waits, in words.

const HELD = "Not sent, because of how the reply before it ended"
const NEXT = "Sent when this reply is done"
const LATER = "Sent after the one before it"

/** The state of each message in the queue, in order. `is_held`: the person has to send or remove it. */
export function queueStates(queue) {
  const first = queue.findIndex(({ is_held }) => !is_held)
  return queue.map(({ is_held }, place) => (is_held ? HELD : place === first ? NEXT : LATER))
}

/** The shown part of a waiting text; the server cuts a long one. A message without text has files. */
export const queuedText = ({ text, chars }) => (chars > text.length ? `${text}…` : text || "Attached files")
