// What a reply cost and how it went, in words.

import { decimalText, gettext, gettext_noop, isKnown, numberText } from "../language/translate.js"
import { REASONS, REPLY_ENDINGS, REPLY_WARMTH, REPLY_WARMTH_EXPLANATIONS } from "./words.js"

const STOP_REASONS = {
  max_tokens: gettext_noop("The reply reached its length limit, so it may be incomplete."),
  model_context_window_exceeded: gettext_noop(
    "The conversation has filled the model's context window, so the reply may be incomplete. Start a new chat, or edit an earlier message to go on from there.",
  ),
  pause_turn: gettext_noop("The model paused before it was done. Ask it to go on, and it will."),
  tool_use: gettext_noop("The model asked for a tool that this chat did not run, so the reply ends here."),
}

const REFUSED = gettext_noop("The model declined to answer.")
const LEFT_OUT = gettext_noop(
  "Your message and this answer are left out of what is sent from now on, because what follows them would be declined, too. Edit your message, or go on with another one.",
)
const REFUSED_FOR = {
  cyber: gettext_noop("Its safety rules see a risk of harm to computer systems."),
  bio: gettext_noop("Its safety rules see a risk of biological harm."),
  frontier_llm: gettext_noop("Its provider does not allow help with building competing models."),
  reasoning_extraction: gettext_noop("It does not write down its inner reasoning as an answer."),
  general_harms: gettext_noop("Its safety rules see a risk of harm."),
}

const secondsText = (ms) => `${decimalText(ms / 1000, ms < 10_000 ? 2 : 1)} s`

/**
 * The facts of a reply as `{ short, name, long }`: the text in the line, and its explanation. `short` is null for what
 * is told on demand only: tokens and money.
 * `isFelt`: whether `ttftMs` was measured by this page, from the press to the screen.
 */
export function replyFacts({ ttftMs, isFelt, usage, costUsd, warmth }) {
  const facts = []
  if (ttftMs !== null) facts.push(ttftFact(ttftMs, isFelt))
  if (usage !== null) facts.push(usageFact(usage))
  if (costUsd !== null) facts.push(costFact(costUsd))
  if (usage?.web_searches > 0) facts.push(searchesFact(usage.web_searches))
  // If no text came and nothing was billed, the warmth has no meaning.
  if (facts.length > 0 && REPLY_WARMTH[warmth]) facts.push(warmthFact(warmth))
  return facts
}

/** The line under a reply: how it went, at a glance. */
export function factsLine(facts) {
  const shown = facts.map(({ short }) => short).filter((short) => short !== null)
  return shown.length > 0 ? shown.join(" · ") : gettext("Numbers")
}

const ttftFact = (ttftMs, isFelt) => ({
  short: gettext("first words after {time}", { time: secondsText(ttftMs) }),
  name: gettext("First words"),
  long: isFelt
    ? gettext("{time} from your press to the first words on the screen.", { time: secondsText(ttftMs) })
    : gettext("{time} from sending to the first words, as it was measured then.", { time: secondsText(ttftMs) }),
})

const costFact = (costUsd) => ({
  short: null,
  name: gettext("Cost"),
  long: gettext("{usd} for this reply.", { usd: `$${costUsd.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "")}` }),
})

const searchesFact = (count) => ({
  short: null,
  name: gettext("Searches on the web"),
  long: gettext("{number}, each of them billed: they are in the cost.", { number: numberText(count) }),
})

function usageFact(usage) {
  const [read, written, uncached, out] = [
    usage.cache_read_tokens,
    usage.cache_write_tokens,
    usage.input_tokens,
    usage.output_tokens,
  ].map(numberText)
  return {
    short: null,
    name: gettext("Tokens"),
    long: gettext(
      "{read} read from the cache, {written} written to it, {uncached} read without it; the reply has {out}.",
      { read, written, uncached, out },
    ),
  }
}

const warmthFact = (warmth) => ({
  short: gettext(REPLY_WARMTH[warmth]),
  name: gettext("Warmth"),
  long: gettext(REPLY_WARMTH_EXPLANATIONS[warmth]),
})

/** Whether the model refused: the server sends neither the message nor this reply again. */
export const isRefused = ({ status, stopReason }) => status === "complete" && stopReason === "refusal"

function refusalText(details) {
  const why = details?.explanation || REFUSED_FOR[details?.category] || ""
  return [REFUSED, why, LEFT_OUT]
    .filter((sentence) => sentence !== "")
    .map((sentence) => gettext(sentence))
    .join(" ")
}

/** What the person should know about how a reply ended, or null if it ended normally. */
export function endingText({ status, stopReason, stopDetails, error }) {
  if (isRefused({ status, stopReason })) return refusalText(stopDetails)
  if (status === "complete") return translated(STOP_REASONS[stopReason])
  const told = translated(REPLY_ENDINGS[status])
  return error === null ? told : `${told} ${failureText(error)}`
}

const translated = (english) => (english === undefined ? null : gettext(english))

/** The server's sentence; in a language that has no words for it, what its code says. */
function failureText({ code, message }) {
  if (isKnown(message) || REASONS[code] === undefined) return gettext(message)
  return gettext("The reason: {reason}.", { reason: gettext(REASONS[code]) })
}

// The same message would end the same way, another one may not.
const ANOTHER_MESSAGE_HELPS = new Set(["request_refused", "prompt_too_large"])

/** Whether the person can go on by writing the message anew. */
export const mayEditQuestion = (ending) => isRefused(ending) || ANOTHER_MESSAGE_HELPS.has(ending.error?.code)

/** Whether trying again makes sense: not if the server says that it would end the same way. */
export const mayTryAgain = ({ status, error }) => status !== "complete" && (error === null || error.retryable)

/** Whether the model would say more if it is asked to. */
export const mayGoOn = ({ status, stopReason }) => status === "complete" && MORE_TO_SAY.has(stopReason)

const MORE_TO_SAY = new Set(["max_tokens", "pause_turn"])

/** What the person then says. */
export const goOnText = () => gettext("Continue where you stopped.")
