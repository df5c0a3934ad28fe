// How a message waits, in words.

import { gettext, gettext_noop, isKnown } from "../language/translate.js"

const HELD = gettext_noop("Not sent, because of how the reply before it ended")
const NEXT = gettext_noop("Sent when this reply is done")
const LATER = gettext_noop("Sent after the one before it")

/** The state of each message in the queue, in order. `is_held`: the person has to send or remove it. */
export function queueStates(queue) {
  const first = queue.findIndex(({ is_held }) => !is_held)
  return queue.map((queued, place) => (queued.is_held ? heldText(queued) : gettext(place === first ? NEXT : LATER)))
}

const heldText = ({ held_because }) =>
  held_because && isKnown(held_because) ? gettext("Not sent yet. {why}", { why: gettext(held_because) }) : gettext(HELD)

/** The shown part of a waiting text; the server cuts a long one. A message without text has files. */
export const queuedText = ({ text, chars }) => (chars > text.length ? `${text}…` : text || gettext("Attached files"))
