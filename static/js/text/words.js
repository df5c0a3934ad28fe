// What the page says for the words of the server. Written by `python manage.py write_words`; change them there.

export const WARMTH_LABELS = {
  cold: "Will read up when you send",
  warming: "Getting ready",
  warm: "Ready",
  expiring: "Ready for a moment",
  skipped: "Will read up when you send",
  failed: "Will read up when you send",
}

export const WARMTH_EXPLANATIONS = {
  cold: "What comes before your message is read when you send it, or while you type, where that pays.",
  warming: "What comes before your message is being read while you type, so that the reply starts sooner.",
  warm: "What comes before your message is read already: the reply starts sooner and costs less.",
  expiring: "What comes before your message is still known, but not for much longer.",
  skipped: "What comes before your message was not read beforehand. Replies work as usual.",
  failed: "Reading ahead did not work this time. The first words may take longer.",
}

export const REASONS = {
  warming_off: "warming is switched off",
  intent_off: "the operator has switched this kind of warming off",
  upstream_limited: "the API has asked for a pause",
  store_unavailable: "what is warm cannot be looked up right now",
  endpoint_without_prewarm: "the API in use cannot warm",
  structured_output: "this assistant's output format rules it out",
  manual_thinking: "this assistant's thinking setting rules it out",
  forced_tool_choice: "this assistant's tool setting rules it out",
  below_minimum_tokens: "too short to be cached",
  not_cacheable: "nothing in it can be cached",
  in_flight: "a warm-up is already running",
  already_warm: "it is already warm",
  unknown_price: "its price is not known",
  over_cost_cap: "it would cost more than the operator allows",
  not_worth_it: "the time it would save is worth less than it costs",
  not_yet: "a few more words make a message more likely",
  held_out: "this visit is part of a comparison without warming",
  no_credit: "you have typed without sending for a while; your next message brings it back",
  breaker_open: "warming it has not helped lately",
  user_budget: "your share of today's budget for warming is spent",
  budget: "today's budget for warming is spent",
  busy: "too many warm-ups are waiting",
  return_unlikely: "nobody is expected back in time",
  lapsed: "it was gone before it could be renewed",
  holding_does_not_pay: "holding it would cost more than it brings",
  key_refused: "the API refuses the operator's key",
  access_refused: "the API refuses access",
  wrong_address: "the API cannot be reached",
  not_the_api: "the API cannot be reached",
  spend_limit: "the operator's spending limit is reached",
  model_not_found: "the API does not know this assistant's model",
  prompt_too_large: "the prompt is too large",
  request_refused: "the API refuses this prompt",
  rate_limited: "the API has had too many requests",
  overloaded: "the API is overloaded",
  server_error: "the API had an error",
  unreachable: "the API cannot be reached",
  timed_out: "the API did not answer in time",
  stream_cut: "the connection to the API broke",
  stream_stalled: "the API fell silent",
  stream_malformed: "the API's answer could not be read",
  stream_ended_early: "the API's answer ended too early",
  internal_error: "something went wrong on our side",
}

export const REPLY_WARMTH = {
  hit: "warm",
  joined: "joined a warm-up",
  raced: "raced a warm-up",
  cold: "cold",
  held_out: "held out",
}

export const REPLY_WARMTH_EXPLANATIONS = {
  hit: "The prompt was warmed before you sent: its start was read from the cache.",
  joined: "A warm-up was still running when you sent; the reply waited for it and read from the cache.",
  raced: "You sent before the warm-up was done, and waiting would not have been faster.",
  cold: "Nothing had been warmed for this reply.",
  held_out: "Left cold on purpose: a small random share of replies is not warmed, to measure what warming is worth.",
}

export const QUOTA_LEFT = {
  messages_per_minute: "messages left this minute",
  messages_per_day: "messages left today",
  running_replies: "replies left at the same time",
  usd_per_day: "left to spend today",
  usd_per_month: "left to spend this month",
}

export const REPLY_ENDINGS = {
  stopped: "You stopped this reply.",
  interrupted: "This reply was cut off before it was done. What had arrived is kept.",
  failed: "This reply failed.",
}
