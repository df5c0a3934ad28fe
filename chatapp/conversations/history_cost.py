"""What a long history costs with each turn, and after how many turns a summary of it has paid for itself. Pure.

With a history of `h` tokens, a summary of `s`, a tail of `t` that stays word for word, and the model's prices per token
for input, output, cache reads `r` and cache writes `w`:

    paid once        r*h + output*s          the model reads the history from its warm cache, and writes the summary
                   + (w - r)*(s + t)         the next request writes the new prefix instead of reading the old one
    saved per turn   r*(h - s)               while the cache is warm; w*(h - s) where it has gone cold
    breakeven        paid once / saved per turn

A summarising model of its own, without that cache, reads the history at its full price: `input*h` of its prices. Only
warm turns are counted, so that each pause that lets the cache go cold is on the summary's side; so are the seconds.
How many turns are to come nobody knows: a conversation that is long is as likely as not to have as many ahead as it has
behind it. So a summary is worth it once its breakeven is within the turns that there have been.
"""

from dataclasses import dataclass
from decimal import Decimal

from warmcache.core.economics import Rates

SUMMARY_TOKENS = 1_000
"""Of a usual summary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryCost:
    """Of a history of so many tokens. `writer`: the prices of a model of its own that writes the summary; None if the
    conversation's model writes it."""

    history_tokens: int
    rates: Rates
    writer: Rates | None = None
    tail_tokens: int = 0
    summary_tokens: int = SUMMARY_TOKENS

    @property
    def warm_turn_usd(self) -> Decimal:
        """What one more turn pays for the history, read from the cache."""
        return self.history_tokens * self.rates.cache_read

    @property
    def cold_turn_usd(self) -> Decimal:
        """The same after a pause, when it is written anew."""
        return self.history_tokens * self.rates.cache_write_5m

    @property
    def summary_usd(self) -> Decimal:
        """What a summary costs, and what writing the new prefix costs more than reading the old one."""
        reading = self.history_tokens * (self.writer.input if self.writer else self.rates.cache_read)
        writing = self.summary_tokens * (self.writer or self.rates).output
        kept = self.summary_tokens + self.tail_tokens
        return reading + writing + kept * (self.rates.cache_write_5m - self.rates.cache_read)

    @property
    def breakeven_turns(self) -> float | None:
        """None: it never pays, because the history is not longer than its summary, or costs nothing."""
        saved = (self.history_tokens - self.summary_tokens) * self.rates.cache_read
        return float(self.summary_usd / saved) if saved > 0 else None

    def pays_after(self, turns: int) -> bool:
        """Whether a conversation that has had so many turns is expected to have enough of them ahead."""
        return self.breakeven_turns is not None and self.breakeven_turns <= turns
