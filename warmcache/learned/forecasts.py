"""What was learned about people and models: read from memory at each decision, stored as sums that processes share.

Habits (chances, lead times, silences) belong to a label, the speed of a model to all labels. A process uses its own
observations at once; every few seconds it adds them to the database and loads what the others have added.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from warmcache.core.catalog import facts_for
from warmcache.core.estimates import NO_SIZE, Size, prior_tokens, sum_of, tokens_of
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.forecast.sizes import is_plausible, tokens_per_unit
from warmcache.core.forecast.teaching import teach_arrival, teach_history, teach_request, teach_return
from warmcache.core.intents import Sign
from warmcache.core.prefix import Position, Prefix
from warmcache.core.usage import Usage
from warmcache.learned import rows
from warmcache.learned.bills import BilledPrefixes
from warmcache.learned.places import Places
from warmcache.models import LearnedEvidence

logger = logging.getLogger(__name__)

Stored = dict[str, dict[str, Any]]
"""Label -> evidence."""

Performs = Callable[[Callable[[], Stored]], Awaitable[Stored]]

MAX_LABELS = 1000
"""Beyond this number, a label is decided with the priors: labels are products and assistants, never people."""


class Learning:
    """The forecasts of one process. `is_on=False`: always the priors, nothing is recorded or stored."""

    def __init__(self, *, upstream: str, is_on: bool = True) -> None:
        self._upstream = upstream
        self._is_on = is_on
        self._known: dict[str, Forecasts] = {}
        self._fresh: dict[str, Forecasts] = {}
        self._speed = Forecasts()
        """What belongs to a model, whatever the label: its speed, and what texts take."""
        self._billed = BilledPrefixes()
        self._places = Places()

    def forecasts(self, label: str) -> Forecasts:
        """The current forecasts. No waiting, no SQL."""
        known = self._known.get(label)
        if known is None:
            known = self._with_speed(Forecasts())
            if len(self._known) < MAX_LABELS:
                self._known[label] = known
        return known

    def saw_sign(self, label: str, sign: Sign, *, sent: bool, lead_seconds: float = 0.0) -> None:
        """Records the outcome of a sign."""
        for forecasts in self._both(label):
            forecasts.intent(sign).observe(sent=sent, lead_seconds=lead_seconds)

    def saw_return(self, label: str, seconds: float, *, asked_tool: bool) -> None:
        """Records the next request of a place, `seconds` after the one before it."""
        for forecasts in self._both(label):
            teach_return(forecasts, seconds, asked_tool=asked_tool)

    def saw_answer(
        self, label: str, place: str, prefix: Prefix, *, reply_tokens: int, asked_tool: bool, is_person: bool
    ) -> None:
        """Records an answered request of a place, and what it still had of the one before it."""
        followed = self._places.note(label, place, prefix, reply_tokens=reply_tokens, asked_tool=asked_tool)
        kept_share = followed.kept_share if followed is not None and is_person else None
        for forecasts in self._both(label):
            teach_request(forecasts, kept_share=kept_share, asks_tool=asked_tool)
            if followed is not None:
                teach_history(
                    forecasts,
                    asked_tool=followed.asked_tool,
                    reply_tokens=followed.reply_tokens,
                    keeps_prompt=followed.keeps_prompt,
                    keeps_reply=followed.keeps_reply,
                )

    def forget_places(self, places: Collection[str]) -> None:
        """Their next requests teach nothing of history."""
        self._places.forget(places)

    def saw_arrival(self, label: str, seconds: float) -> None:
        """Records a request, `seconds` after the one before it, whoever sent them."""
        for forecasts in self._both(label):
            teach_arrival(forecasts, seconds)

    def saw_call(self, model: str, usage: Usage, seconds: float) -> None:
        """Records one call, from its start to its first token, or to its end if it produces none."""
        uncached = usage.total_input_tokens - usage.cache_read_tokens
        if self._is_on and usage.total_input_tokens > 0 and seconds >= 0:
            for forecasts in (self._speed, self._fresh.setdefault(LearnedEvidence.SPEED, Forecasts())):
                forecasts.prefill(model).observe(
                    uncached_tokens=uncached, cached_tokens=usage.cache_read_tokens, ttft_seconds=seconds
                )

    def sized(self, label: str, prefix: Prefix) -> Prefix:
        """`prefix` with its tokens as they were billed or, where they were not, as bills of this label let expect."""
        if not self._is_on:
            return prefix
        return self._billed.sized(prefix, self._tokens_per_unit(label, prefix.model))

    def expected_tokens(self, label: str, model: str, positions: Sequence[Position], more: Size) -> int:
        """Of a prompt with these last positions, nearest first, and of what follows it. Callable from any thread."""
        whole = positions[0].size if positions else NO_SIZE
        size, tokens = self._billed.known_of(positions) if self._is_on else (NO_SIZE, 0)
        unknown = tuple(map(int.__sub__, sum_of(whole, more), size))
        return tokens + tokens_of(unknown, self._tokens_per_unit(label, model))

    def _tokens_per_unit(self, label: str, model: str) -> tuple[float, ...]:
        priors = prior_tokens(facts_for(model))
        if not self._is_on:
            return priors
        shared = self._speed.size(model).coefficients()
        known = self._known.get(label)
        if known is not None and model in known.sizes:
            shared = known.size(model).coefficients(shared, is_label=True)
        return tokens_per_unit(priors, shared)

    def saw_bill(self, label: str, prefix: Prefix, usage: Usage) -> None:
        """Records what a call was billed for all of `prefix`: what it read and what it wrote."""
        deepest = prefix.deepest
        if self._is_on and deepest is not None and usage.cached_tokens > 0:
            self._saw_count(label, prefix, usage.cached_tokens)

    def saw_count(self, label: str, prefix: Prefix, tokens: int) -> None:
        """Records what the provider counted for all of `prefix`."""
        if self._is_on and prefix.deepest is not None and tokens > 0:
            self._saw_count(label, prefix, tokens)

    def has_count(self, prefix: Prefix) -> bool:
        """Whether nobody need count it: its tokens are known, or nothing is learned."""
        deepest = prefix.deepest
        return not self._is_on or deepest is None or self._billed.knows(deepest.prefix_hash)

    def is_counted(self, prefix: Prefix) -> bool:
        """Whether the provider has counted or billed all of it."""
        deepest = prefix.deepest
        return deepest is not None and self._billed.knows(deepest.prefix_hash)

    def _saw_count(self, label: str, prefix: Prefix, tokens: int) -> None:
        deepest, priors = prefix.breakpoints[-1], prior_tokens(facts_for(prefix.model))
        if self._billed.knows(deepest.prefix_hash):
            self._billed.note(deepest.prefix_hash, tokens)
            return
        if not is_plausible(deepest.look_back[0].size, priors, tokens):
            return
        size_before, tokens_before = self._billed.known_before(prefix)
        grown = tuple(map(int.__sub__, deepest.look_back[0].size, size_before))
        for forecasts in (self._speed, self._fresh.setdefault(LearnedEvidence.SPEED, Forecasts()), *self._both(label)):
            forecasts.size(prefix.model).observe(grown, priors, tokens - tokens_before)
        self._billed.note(deepest.prefix_hash, tokens)

    async def exchange(self, perform: Performs, now: float) -> None:
        """Stores new evidence and loads what others have stored; a failing database only delays this.

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
        """The stored evidence plus what this process observed during the exchange."""
        forecasts = Forecasts()
        forecasts.load(stored)
        if label in self._fresh:
            forecasts.absorb(self._fresh[label])
        return forecasts

    def _both(self, label: str) -> tuple[Forecasts, ...]:
        """The forecasts that record an observation under this label: none if learning is off or labels are too many."""
        known = self.forecasts(label)
        if not self._is_on or label not in self._known:
            return ()
        return known, self._fresh.setdefault(label, Forecasts())

    def _with_speed(self, forecasts: Forecasts) -> Forecasts:
        forecasts.prefills = self._speed.prefills
        return forecasts
