"""Holds shared layers warm between requests, if their forecast says that it pays. Off by default.

Every process takes part; a lease per label makes one of them the holder, which renews the lease while it lives. The
holder sends a warm-up only if no request used the layer for nine tenths of its TTL, so a busy layer costs nothing.
Requests are built with the layer's own TTL: reading an entry does not change how long it lives.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from warmcache.background.database import in_database_thread
from warmcache.cache.visits import Occasion
from warmcache.core.errors import StoreUnavailable
from warmcache.core.intents import Intent
from warmcache.core.keeping import refresh_at
from warmcache.core.ports import Sighting, WarmthStore
from warmcache.core.reasons import Reason
from warmcache.core.shared_layers import Arrivals, SharedForecast
from warmcache.runtime.state import Runtime
from warmcache.warmups.attempt import prewarm
from warmcache.warmups.shared_layers import (
    Outline,
    SharedLayer,
    alone,
    arrivals_at,
    forecast_of,
    outline_of,
    registered_layers,
)

logger = logging.getLogger(__name__)

ROUND_SECONDS = 10.0
LEASE_SECONDS = 40.0
"""Another process takes over from a dead holder after this time."""

FORECAST_SECONDS = 300.0
"""How long a decision to hold is valid, and how late an edit of the layer is noticed between two warm-ups."""

MARGIN_SECONDS = 20.0
"""Before expiry, at least two rounds: a late warm-up would be a write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """The decision of a layer's holder, and until when it is valid."""

    outline: Outline
    forecast: SharedForecast
    decided_at: float


class Keeper:
    """One process's part. `take_turn` is called again and again."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        """Shown to the operator as the holder."""
        self._labels: set[str] = set()
        self._held: dict[str, _Held] = {}

    async def take_turn(self) -> None:
        """Claims free layers, renews ours, warms the due ones; gives all back once keeping is off."""
        policy = await self._runtime.policy.known()
        if not (policy.is_enabled and policy.keeps_shared_layers and Intent.KEEP in policy.intents):
            await self.give_up()
            return
        layers = {layer.label: layer for layer in await in_database_thread(registered_layers)}
        try:
            self._labels = await self._hold(sorted(layers))
        except StoreUnavailable:
            self._labels = set()
            return
        self._held = {label: held for label, held in self._held.items() if label in self._labels}
        await self._forecast([layers[label] for label in self._labels])
        for label in sorted(self._held):
            with _alone_in_its_failure(label):
                await self._tend(layers[label], self._held[label])

    async def give_up(self) -> None:
        """Releases all layers, so that another process may hold them at once."""
        labels, self._labels, self._held = self._labels, set(), {}
        try:
            for label in labels:
                await self._runtime.store.release(_lease(label), owner=self.name)
        except StoreUnavailable:
            logger.warning("Shared layers could not be given back; their leases end in %.0f s", LEASE_SECONDS)

    async def _hold(self, labels: Sequence[str]) -> set[str]:
        """The labels that are ours for another `LEASE_SECONDS`."""
        store = self._runtime.store
        owners = await holders(store, labels)
        ours = {label for label in labels if owners.get(label) == self.name}
        await store.renew({_lease(label): self.name for label in ours}, ttl_seconds=LEASE_SECONDS)
        for label in labels:
            if label not in owners and await store.claim(_lease(label), owner=self.name, ttl_seconds=LEASE_SECONDS):
                ours.add(label)
        return ours

    async def _forecast(self, layers: Sequence[SharedLayer]) -> None:
        """Decides again if a decision is missing or old; a decision not to hold is counted once."""
        now = self._runtime.clock.now()
        due = [layer for layer in layers if self._is_undecided(layer.label, now)]
        if not due:
            return
        labels = [layer.label for layer in due]
        arrivals = await in_database_thread(arrivals_at, now, labels, upstream=self._runtime.config.upstream)
        for layer in due:
            with _alone_in_its_failure(layer.label):
                await self._decide(layer, arrivals[layer.label], now)

    async def _decide(self, layer: SharedLayer, arrivals: Arrivals, now: float) -> None:
        prompt = await in_database_thread(layer.load)
        self._held.pop(layer.label, None)
        if prompt is None:
            return
        outline = outline_of(self._runtime.build(alone(prompt), None, label=layer.label).prefix)
        forecast = forecast_of(
            outline,
            arrivals,
            config=self._runtime.config,
            forecasts=self._runtime.learning.forecasts(layer.label),
            value_of_second_usd=self._runtime.policy.current.value_of_second_usd,
        )
        self._held[layer.label] = _Held(outline=outline, forecast=forecast, decided_at=now)
        if not forecast.should_hold:
            reason = forecast.reason or Reason.HOLDING_DOES_NOT_PAY
            self._runtime.ledger.count_skip(label=layer.label, intent=Intent.KEEP, reason=reason)

    def _is_undecided(self, label: str, now: float) -> bool:
        held = self._held.get(label)
        return held is None or now - held.decided_at >= FORECAST_SECONDS

    async def _tend(self, layer: SharedLayer, held: _Held) -> None:
        if held.forecast.should_hold and await self._is_due(held):
            await self._warm(layer)

    async def _is_due(self, held: _Held) -> bool:
        point = held.outline.point
        if point is None:
            return False
        try:
            seen = await self._runtime.store.look_up([point.prefix_hash])
        except StoreUnavailable:
            return False
        expires_at = seen.get(point.prefix_hash, Sighting()).expires_at
        if expires_at is None:
            return True
        return self._runtime.clock.now() >= refresh_at(
            expires_at - point.ttl_seconds, point.ttl_seconds, MARGIN_SECONDS
        )

    async def _warm(self, layer: SharedLayer) -> None:
        prompt = await in_database_thread(layer.load)
        if prompt is None:
            return
        attempt = await prewarm(
            self._runtime, alone(prompt), Occasion(intent=Intent.KEEP, label=layer.label, subject="")
        )
        if attempt.finished is not None:
            await attempt.finished()


@contextmanager
def _alone_in_its_failure(label: str) -> Iterator[None]:
    """Isolates failures: a layer that the host cannot load must not keep the others from being held."""
    try:
        yield
    except Exception:
        logger.exception("The shared layer %r could not be tended; the next round tries again", label)


async def keep_forever(runtime: Runtime) -> None:
    """Runs as a task of the runtime until it is cancelled."""
    keeper = Keeper(runtime)
    try:
        while True:
            try:
                await keeper.take_turn()
            except Exception:
                logger.exception("Shared layers could not be tended; the next round tries again")
            await asyncio.sleep(ROUND_SECONDS)
    finally:
        await keeper.give_up()


async def holders(store: WarmthStore, labels: Sequence[str]) -> Mapping[str, str]:
    """Label -> the name of the process that holds it; only those that are held."""
    seen = await store.look_up([_lease(label) for label in labels])
    found = {label: seen.get(_lease(label), Sighting()).lease_owner for label in labels}
    return {label: owner for label, owner in found.items() if owner is not None}


def _lease(label: str) -> str:
    return f"keeper:{label}"
