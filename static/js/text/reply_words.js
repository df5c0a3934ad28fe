// What a reply cost and how it went, in words.

import { REPLY_ENDINGS, REPLY_WARMTH, REPLY_WARMTH_EXPLANATIONS } from "./words.js"

const STOP_REASONS = {
  max_tokens: "The reply reached its length limit, so it may be incomplete.",
  model_context_window_exceeded:
    "The conversation has filled the model's context window, so the reply may be incomplete. " +
    "Start a new chat, or edit an earlier message to go on from there.",
  pause_turn: "The model paused before it was done. Ask it to go on, and it will.",
  tool_use: "The model asked for a tool that this chat did not run, so the reply ends here.",
}

const REFUSED = "The model declined to answer."
const LEFT_OUT =
  "Your message and this answer are left out of what is sent from now on, because what follows them would be " +
  "declined, too. Edit your message, or go on with another one."
const REFUSED_FOR = {
  cyber: "Its safety rules see a risk of harm to computer systems.",
  bio: "Its safety rules see a risk of biological harm.",
  frontier_llm: "Its provider does not allow help with building competing models.",
  reasoning_extraction: "It does not write down its inner reasoning as an answer.",
  general_harms: "Its safety rules see a risk of harm.",
}

const secondsText = (ms) => (ms < 10_000 ? `${(ms / 1000).toFixed(2)} s` : `${(ms / 1000).toFixed(1)} s`)

const tokens = (count) => count.toLocaleString("en")

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
  return shown.length > 0 ? shown.join(" · ") : "Numbers"
}

const ttftFact = (ttftMs, isFelt) => ({
  short: `first words after ${secondsText(ttftMs)}`,
  name: "First words",
  long: isFelt
    ? `${secondsText(ttftMs)} from your press to the first words on the screen.`
    : `${secondsText(ttftMs)} from sending to the first words, as it was measured then.`,
})

const costFact = (costUsd) => ({
  short: null,
  name: "Cost",
  long: `$${costUsd.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "")} for this reply.`,
})

const searchesFact = (count) => ({
  short: null,
  name: "Searches on the web",
  long: `${tokens(count)}, each of them billed: they are in the cost.`,
})

function usageFact(usage) {
  const [read, written, uncached, out] = [
    usage.cache_read_tokens,
    usage.cache_write_tokens,
    usage.input_tokens,
    usage.output_tokens,
  ].map(tokens)
  return {
    short: null,
    name: "Tokens",
    long: `${read} read from the cache, ${written} written to it, ${uncached} read without it; the reply has ${out}.`,
  }
}

const warmthFact = (warmth) => ({
  short: REPLY_WARMTH[warmth],
  name: "Warmth",
  long: REPLY_WARMTH_EXPLANATIONS[warmth],
})

/** Whether the model refused: the server sends neither the message nor this reply again. */
export const isRefused = ({ status, stopReason }) => status === "complete" && stopReason === "refusal"

function refusalText(details) {
  const why = details?.explanation || REFUSED_FOR[details?.category] || ""
  return [REFUSED, why, LEFT_OUT].filter((sentence) => sentence !== "").join(" ")
}

/** What the person should know about how a reply ended, or null if it ended normally. */
export function endingText({ status, stopReason, stopDetails, error }) {
  if (isRefused({ status, stopReason })) return refusalText(stopDetails)
  if (status === "complete") return STOP_REASONS[stopReason] ?? null
  return error === null ? (REPLY_ENDINGS[status] ?? null) : `${REPLY_ENDINGS[status]} ${error.message}`
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
export const GO_ON = "Continue where you stopped."
