"""What was learned of people and models: read from memory at each decision, stored as sums that processes share.

Habits (chances, leads, silences) belong to a label, the speed of a model to all labels. What one process sees counts
in it at once; every few seconds it adds the news to the database and takes what the others have added.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.intents import Sign
from warmcache.core.usage import Usage
from warmcache.learned import rows
from warmcache.models import LearnedEvidence

logger = logging.getLogger(__name__)

Stored = dict[str, dict[str, Any]]
"""Label -> evidence."""

Performs = Callable[[Callable[[], Stored]], Awaitable[Stored]]

MAX_LABELS = 1000
"""Beyond, a label is decided with the priors: labels are products and assistants, never people."""


class Learning:
    """The forecasts of one process. `is_on=False`: priors for ever, nothing is noted or stored."""

    def __init__(self, *, upstream: str, is_on: bool = True) -> None:
        self._upstream = upstream
        self._is_on = is_on
        self._known: dict[str, Forecasts] = {}
        self._fresh: dict[str, Forecasts] = {}
        self._speed = Forecasts()

    def forecasts(self, label: str) -> Forecasts:
        """What is known now. No waiting, no SQL."""
        known = self._known.get(label)
        if known is None:
            known = self._with_speed(Forecasts())
            if len(self._known) < MAX_LABELS:
                self._known[label] = known
        return known

    def saw_sign(self, label: str, sign: Sign, *, sent: bool, lead_seconds: float = 0.0) -> None:
        """What came of it."""
        for forecasts in self._both(label):
            forecasts.intent(sign).observe(sent=sent, lead_seconds=lead_seconds)

    def saw_return(self, label: str, seconds: float, *, asked_tool: bool) -> None:
        """The next request of a place, so long after the one before it."""
        since = min(seconds, rows.SILENCE_HORIZON_SECONDS)
        for forecasts in self._both(label):
            # A silence beyond the horizon was counted up to it when it was still going on.
            forecasts.silence(asks_tool=asked_tool).observe(
                seconds, returned=True, since=since if seconds > since else 0.0
            )

    def saw_arrival(self, label: str, seconds: float) -> None:
        """A request, so long after the one before it, whoever sent them."""
        for forecasts in self._both(label):
            forecasts.arrivals.observe(seconds, returned=True)

    def saw_call(self, model: str, usage: Usage, seconds: float) -> None:
        """One call, from its start to its first token, or to its end where it makes none."""
        uncached = usage.total_input_tokens - usage.cache_read_tokens
        if self._is_on and usage.total_input_tokens > 0 and seconds >= 0:
            for forecasts in (self._speed, self._fresh.setdefault(LearnedEvidence.SPEED, Forecasts())):
                forecasts.prefill(model).observe(
                    uncached_tokens=uncached, cached_tokens=usage.cache_read_tokens, ttft_seconds=seconds
                )

    async def exchange(self, perform: Performs, now: float) -> None:
        """Stores the news and takes what others have stored; a database that fails costs nothing but time.

        `perform` runs a synchronous function that uses the database, in turn with other writes.
        """
        if not self._is_on:
            return
        news, self._fresh = self._fresh, {}
        try:
            stored = await perform(lambda: rows.exchange(self._upstream, news, now=now))
        except Exception as error:
            logger.warning("What was learned could not be stored and will be tried again: %s", error)
            for label, later in self._fresh.items():
                news.setdefault(label, Forecasts()).absorb(later)
            self._fresh = news
            return
        self._take(stored)

    def _take(self, stored: Stored) -> None:
        self._speed = self._loaded(LearnedEvidence.SPEED, stored.pop(LearnedEvidence.SPEED, {}))
        for label in [*self._known, *(label for label in stored if label not in self._known)][:MAX_LABELS]:
            self._known[label] = self._with_speed(self._loaded(label, stored.get(label, {})))

    def _loaded(self, label: str, stored: dict[str, Any]) -> Forecasts:
        """With what was seen here while the database was busy."""
        forecasts = Forecasts()
        forecasts.load(stored)
        if label in self._fresh:
            forecasts.absorb(self._fresh[label])
        return forecasts

    def _both(self, label: str) -> tuple[Forecasts, ...]:
        """Where something seen under this label is noted: nowhere where nothing is learned, or no label more."""
        known = self.forecasts(label)
        if not self._is_on or label not in self._known:
            return ()
        return known, self._fresh.setdefault(label, Forecasts())

    def _with_speed(self, forecasts: Forecasts) -> Forecasts:
        forecasts.prefills = self._speed.prefills
        return forecasts
