// A tool of another server that is about to be called, in words.

import { gettext, gettext_noop } from "../language/translate.js"

/** `{ server, host, tool }` of the question. */
export const questionText = ({ server, host, tool }) =>
  gettext("The assistant wants to ask {server} ({host}), outside this chat, with the tool “{tool}”.", {
    server,
    host,
    tool,
  })

const SAID = Object.freeze({
  once: gettext_noop("You allowed this call once."),
  always: gettext_noop("You allowed this tool always."),
  no: gettext_noop("You did not allow this call."),
})
const UNANSWERED = gettext_noop("Nobody answered in time, so nothing was called.")

/** `answer` as the server tells it; null where the reply ended first. */
export const answerText = (answer) => gettext(SAID[answer] ?? UNANSWERED)
