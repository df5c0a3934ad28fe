"""Our rule, which knows beforehand how often and when people come back.

Its silences are told apart by the size of the prompt, the one thing of a conversation that says something of them, and
come from a pass over other traffic of the same label. The gap from here to the oracle is foresight, which nobody has;
the gap to `ours` is what had to be learned. It is no upper bound: rates of other traffic may be worth less than
learning on the spot.
"""

import copy
import math
from decimal import Decimal

from warmcache.core.economics import RateSource
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.forecast.gaps import GapForecast
from warmcache.core.forecast.teaching import teach_open_end, teach_return, teach_silence
from warmcache.replay.learned import Ours

_SMALLEST_TOKENS = 1000


class Informed(Ours):
    """Is taught by a pass over one folder and judged on another; goes on learning there, as `ours` does."""

    name = "informed"

    def __init__(self, *, model: str, rates: RateSource, value_of_second_usd: Decimal, has_common_clock: bool) -> None:
        super().__init__(
            model=model, rates=rates, value_of_second_usd=value_of_second_usd, has_common_clock=has_common_clock
        )
        self._silences: dict[int, Forecasts] = {}
        """By size: nothing else is taught to them."""
        self._beliefs: dict[int, Forecasts] = {}
        """By size: all that is known, with the silences of that size."""

    def _believed(self, tokens: int) -> Forecasts:
        size = _size(tokens)
        if size not in self._beliefs:
            self._beliefs[size] = copy.copy(self.forecasts)
            self._beliefs[size].long_gains = {}
        believed, silences = self._beliefs[size], self._silences_of(tokens)
        believed.after_reply = _better(silences.after_reply, self.forecasts.after_reply)
        believed.after_tool_use = _better(silences.after_tool_use, self.forecasts.after_tool_use)
        return believed

    def _silences_of(self, tokens: int) -> Forecasts:
        return self._silences.setdefault(_size(tokens), Forecasts())

    def saw_return(self, *, asked_tool: bool, seconds: float, tokens: int = 0) -> None:
        super().saw_return(asked_tool=asked_tool, seconds=seconds, tokens=tokens)
        teach_return(self._silences_of(tokens), seconds, asked_tool=asked_tool)

    def saw_silence(self, *, asked_tool: bool, checkpoint: int, tokens: int = 0) -> None:
        super().saw_silence(asked_tool=asked_tool, checkpoint=checkpoint, tokens=tokens)
        teach_silence(self._silences_of(tokens), checkpoint, asked_tool=asked_tool)

    def saw_open_end(self, *, asked_tool: bool, seconds: float, tokens: int = 0) -> None:
        super().saw_open_end(asked_tool=asked_tool, seconds=seconds, tokens=tokens)
        teach_open_end(self._silences_of(tokens), seconds, asked_tool=asked_tool)


def _better(own: GapForecast, of_all: GapForecast) -> GapForecast:
    return own if own.is_representative else of_all


def _size(tokens: int) -> int:
    """Each is twice as large as the one before."""
    return max(0, int(math.log2(max(tokens, 1) / _SMALLEST_TOKENS)) + 1) if tokens > _SMALLEST_TOKENS else 0
