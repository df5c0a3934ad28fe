// The warmth badge in words. Every time is the server's estimate, hence "about".

const LABELS = {
  cold: "Cold",
  warming: "Warming up",
  warm: "Warm",
  expiring: "Expiring",
  skipped: "Not warmed",
  failed: "Warm-up failed",
}

const EXPLANATIONS = {
  cold: "Nothing of this conversation is in the prompt cache. Typing warms it where that pays.",
  warming: "The start of the prompt is being read into the cache while you type, so that the reply starts sooner.",
  warm: "The start of the prompt is in the cache: the reply starts sooner and costs less.",
  expiring: "The start of the prompt is still in the cache, but not for much longer.",
  skipped: "This prompt was not warmed beforehand. Replies work as usual.",
  failed: "Warming did not work this time. Replies work as usual, the first words may take longer.",
}

const REASONS = {
  already_warm: "it is already warm",
  below_minimum_tokens: "too short to be cached",
  breaker_open: "warming it has not helped lately",
  budget: "today's budget for warming is spent",
  busy: "too many warm-ups are waiting",
  endpoint_without_prewarm: "the API in use cannot warm",
  forced_tool_choice: "this assistant's tool setting rules it out",
  held_out: "this visit is part of a comparison without warming",
  holding_does_not_pay: "holding it would cost more than it brings",
  in_flight: "a warm-up is already running",
  intent_off: "the operator has switched this kind of warming off",
  lapsed: "it was gone before it could be renewed",
  manual_thinking: "this assistant's thinking setting rules it out",
  no_credit: "you have typed without sending for a while; your next message brings it back",
  not_cacheable: "nothing in it can be cached",
  not_worth_it: "the time it would save is worth less than it costs",
  not_yet: "a few more words make a message more likely",
  over_cost_cap: "it would cost more than the operator allows",
  return_unlikely: "nobody is expected back in time",
  store_unavailable: "what is warm cannot be looked up right now",
  structured_output: "this assistant's output format rules it out",
  unknown_price: "its price is not known",
  upstream_limited: "the API has asked for a pause",
  user_budget: "your share of today's budget for warming is spent",
  warming_off: "warming is switched off",
  // How a warm-up that was sent failed
  key_refused: "the API refuses the operator's key",
  model_not_found: "the API does not know this assistant's model",
  overloaded: "the API is overloaded",
  prompt_too_large: "the prompt is too large",
  rate_limited: "the API has had too many requests",
  request_refused: "the API refuses this prompt",
  server_error: "the API had an error",
  spend_limit: "the operator's spending limit is reached",
  stream_malformed: "the API's answer could not be read",
  timed_out: "the API did not answer in time",
  unreachable: "the API cannot be reached",
}

/** A reason of the server in plain words; one that this page does not know is shown as it is written. */
export const reasonText = (reason) => REASONS[reason] ?? reason.replaceAll("_", " ")

const MINUTE_MS = 60_000
const SECONDS_SHOWN_BELOW_MS = 5 * MINUTE_MS

/** Time left as `about 42 min`, in the last minutes as `about 4:09`. */
export function timeLeftText(leftMs) {
  if (leftMs > SECONDS_SHOWN_BELOW_MS) return `about ${Math.ceil(leftMs / MINUTE_MS - 0.5)} min`
  const seconds = Math.max(0, Math.ceil(leftMs / 1000))
  return `about ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`
}

/** How long `timeLeftText` stays true; never less than a second. */
export function nextChangeMs(leftMs) {
  if (leftMs <= SECONDS_SHOWN_BELOW_MS) return Math.max(1000, leftMs % 1000 || 1000)
  return Math.max(1000, Math.min((leftMs + MINUTE_MS / 2) % MINUTE_MS || MINUTE_MS, leftMs - SECONDS_SHOWN_BELOW_MS))
}

/** `{ label, detail }` for a warmth `{ state, reason, prefixTokens, leftMs }`, where `leftMs` may be null. */
export function describeWarmth({ state, reason, prefixTokens, leftMs }) {
  const isTimed = (state === "warm" || state === "expiring") && leftMs !== null
  const isExplained = (state === "skipped" || state === "failed") && reason !== null
  const suffix = isTimed ? `, ${timeLeftText(leftMs)} left` : isExplained ? `: ${reasonText(reason)}` : ""
  const size = prefixTokens > 0 ? ` About ${prefixTokens.toLocaleString("en")} tokens come before your text.` : ""
  return { label: (LABELS[state] ?? state) + suffix, detail: (EXPLANATIONS[state] ?? "") + size }
}
