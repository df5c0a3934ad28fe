// What the person is told when the server refuses a frame.

import { gettext, gettext_noop, isKnown } from "../language/translate.js"

const MISUNDERSTOOD = gettext_noop("The server did not understand this page. Reload it.")
const BY_CODE = {
  bad_json: MISUNDERSTOOD,
  binary_frame: MISUNDERSTOOD,
  bad_frame: MISUNDERSTOOD,
  unknown_type: MISUNDERSTOOD,
  bad_field: MISUNDERSTOOD,
  bad_text: gettext_noop("The text holds a character that cannot be stored."),
  empty_message: gettext_noop("Write something before sending."),
  message_too_large: gettext_noop("The message is too large, with its files."),
  not_found: gettext_noop("That does not exist any more."),
  reply_running: gettext_noop("A reply is still being written here. Stop it, or wait for its end."),
  queue_full: gettext_noop("Too many messages wait here already. Take one back, or wait for the reply."),
  rate_limited: gettext_noop("Too many requests at once. Wait a moment."),
  restarting: gettext_noop("The server is restarting. Try again in a moment."),
  unavailable: gettext_noop("The database does not answer just now. Try again in a moment."),
  internal_error: gettext_noop("Something went wrong on our side. Try again."),
}

/** The server's sentence; in a language that has no words for it, what its code says. */
export function errorText({ code, message }) {
  if (isKnown(message) || !Object.hasOwn(BY_CODE, code)) return gettext(message)
  return gettext(BY_CODE[code])
}
