"""What requests cost. Money is `Decimal` US dollars; rates are dollars per token."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from warmcache.core.ttl import LONG_TTL_SECONDS
from warmcache.core.usage import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Prices of one model for prompts of one size, in US dollars per token, and per web search. `version` names the
    price source."""

    input: Decimal
    output: Decimal
    cache_read: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    version: str
    web_search: Decimal = Decimal(0)

    def cache_write(self, ttl_seconds: int) -> Decimal:
        return self.cache_write_1h if ttl_seconds >= LONG_TTL_SECONDS else self.cache_write_5m


RateSource = Callable[[str, int], Rates | None]
"""(model, input tokens of the whole request) -> its rates, or None if the model has no known price."""


def request_cost_usd(usage: Usage, rates: Rates) -> Decimal:
    """What the provider charges for a request with this usage. Not in it: the time of code execution, which no answer
    reports."""
    return (
        usage.input_tokens * rates.input
        + usage.cache_read_tokens * rates.cache_read
        + (usage.cache_write_tokens - usage.cache_write_1h_tokens) * rates.cache_write_5m
        + usage.cache_write_1h_tokens * rates.cache_write_1h
        + usage.output_tokens * rates.output
        + usage.web_searches * rates.web_search
    )
