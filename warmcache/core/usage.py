"""Token counts of one request, normalised across providers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a provider billed. All counts are tokens, except for those of its tools; the input of a request is the sum
    of the three input fields.

    `cache_write_tokens` counts writes of either TTL, `cache_write_1h_tokens` the part that lives for an hour.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    web_searches: int = 0
    """Searches that the provider ran, billed for each one."""
    web_fetches: int = 0
    """Pages that the provider fetched; only their tokens are billed."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            cache_write_1h_tokens=self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            web_searches=self.web_searches + other.web_searches,
            web_fetches=self.web_fetches + other.web_fetches,
        )

    @property
    def total_input_tokens(self) -> int:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def cached_tokens(self) -> int:
        """Tokens that are in the cache once the answer to this request has begun: read or written."""
        return self.cache_read_tokens + self.cache_write_tokens
