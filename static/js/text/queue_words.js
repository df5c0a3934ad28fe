// How a message waits, in words.

const HELD = "Not sent, because of how the reply before it ended"
const NEXT = "Sent when this reply is done"
const LATER = "Sent after the one before it"

/** The state of each message in the queue, in order. `is_held`: the person has to send or remove it. */
export function queueStates(queue) {
  const first = queue.findIndex(({ is_held }) => !is_held)
  return queue.map((queued, place) => (queued.is_held ? heldText(queued) : place === first ? NEXT : LATER))
}

const heldText = ({ held_because }) => (held_because ? `Not sent yet. ${held_because}` : HELD)

/** The shown part of a waiting text; the server cuts a long one. A message without text has files. */
export const queuedText = ({ text, chars }) => (chars > text.length ? `${text}…` : text || "Attached files")
