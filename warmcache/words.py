"""Reasons in plain words, for the operator's pages and messages."""

REASONS = {
    "already_warm": "it is already warm",
    "below_minimum_tokens": "it is too short to be cached",
    "breaker_open": "warm-ups of it have brought nothing lately",
    "budget": "the budget of today is spent",
    "busy": "too many warm-ups are waiting",
    "endpoint_without_prewarm": "the API in use cannot warm",
    "forced_tool_choice": "its tool setting rules it out",
    "held_out": "this visit is held out, to measure what warming brings",
    "holding_does_not_pay": "holding it would cost more than it brings",
    "in_flight": "a warm-up of it is already running",
    "intent_off": "the operator has switched this intent off",
    "lapsed": "it had lapsed before it could be renewed",
    "manual_thinking": "its thinking setting rules it out",
    "no_credit": "earlier warm-ups for this person were not used",
    "not_cacheable": "nothing in it can be cached",
    "not_worth_it": "it would cost more than the seconds are worth",
    "over_cost_cap": "it would cost more than the operator allows",
    "return_unlikely": "nobody is expected to come back in time",
    "store_unavailable": "what is warm cannot be looked up right now",
    "structured_output": "its output format rules it out",
    "unknown_price": "its price is not known",
    "upstream_limited": "the API has asked for a pause",
    "user_budget": "the budget of this person is spent for today",
    "warming_off": "warming is switched off",
    # How a warm-up that was sent failed
    "key_refused": "the API refuses the key",
    "model_not_found": "the API does not know its model",
    "overloaded": "the API is overloaded",
    "prompt_too_large": "the prompt is too large",
    "rate_limited": "the API has had too many requests",
    "request_refused": "the API refuses this prompt",
    "server_error": "the API had an error",
    "spend_limit": "the spending limit at the API is reached",
    "stream_malformed": "the API's answer could not be read",
    "timed_out": "the API did not answer in time",
    "unreachable": "the API cannot be reached",
}


def reason_text(reason: str) -> str:
    """One that has no words yet is shown as it is written."""
    return REASONS.get(reason, reason.replace("_", " "))
