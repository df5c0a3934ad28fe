// A tool of another server that is about to be called, in words.

/** `{ server, host, tool }` of the question. */
export const questionText = ({ server, host, tool }) =>
  `The assistant wants to ask ${server} (${host}), outside this chat, with the tool “${tool}”.`

const SAID = Object.freeze({
  once: "You allowed this call once.",
  always: "You allowed this tool always.",
  no: "You did not allow this call.",
})

/** `answer` as the server tells it; null where the reply ended first. */
export const answerText = (answer) => SAID[answer] ?? "Nobody answered in time, so nothing was called."
