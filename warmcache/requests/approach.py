"""How a real request goes to the provider: it joins a call in flight, passes it, or leads and writes for the others.
One look-up in the store tells what to expect, whether to wait and what to lead."""

import contextlib
from collections.abc import Mapping
from uuid import UUID

from warmcache.cache.beliefs import Flight, believed, flight_for, is_warm
from warmcache.core.errors import StoreUnavailable
from warmcache.core.outcomes import RequestWarmth, WarmthState
from warmcache.core.ports import Sighting
from warmcache.core.prefix import Prefix
from warmcache.requests.join import wait_bound_seconds
from warmcache.requests.lead import RequestLead
from warmcache.runtime.state import Runtime

FRESH_SECONDS = 0.5
"""A look-up that is at most this old is used for the next question too."""


class Approach:
    """The approach of one request."""

    def __init__(self, runtime: Runtime, prefix: Prefix, *, label: str, request_id: UUID) -> None:
        self.joined: Flight | None = None
        """The call that it waited for; afterwards the entry was in the cache."""
        self.raced: Flight | None = None
        """The call that it passed, or whose end it did not wait for."""
        self.waited_seconds = 0.0
        self._runtime = runtime
        self._prefix = prefix
        self._label = label
        self._lead = RequestLead(runtime, prefix, request_id)
        self._sightings: Mapping[str, Sighting] = {}
        self._looked_at: float | None = None

    @property
    def sightings(self) -> Mapping[str, Sighting]:
        """The result of the last look-up."""
        return self._sightings

    async def expected_warmth(self) -> RequestWarmth:
        """`hit`, `joined`, `raced` or `cold`."""
        await self._look()
        flight = self._flight()
        if flight is not None and self._bound_seconds(flight) is not None:
            return RequestWarmth.JOINED
        if flight is not None and flight.warm_up_id is not None:
            return RequestWarmth.RACED
        state = believed(self._prefix, self._sightings, self._runtime.clock.now()).state
        is_live = state in (WarmthState.WARM, WarmthState.EXPIRING)
        return RequestWarmth.HIT if is_live else RequestWarmth.COLD

    async def prepare(self) -> None:
        """Waits for the call that writes this prefix now, if that is better than going: once, and never for long. Leads
        if there is no such call."""
        called_at = self._runtime.clock.now()
        flight = await self._flight_or_lead()
        if flight is None:
            return
        bound_seconds = self._bound_seconds(flight)
        if bound_seconds is None:
            self.raced = flight
            return
        has_ended = False
        with contextlib.suppress(StoreUnavailable):
            has_ended = await self._runtime.store.wait_until_released(flight.prefix_hash, timeout_seconds=bound_seconds)
        self.waited_seconds = max(0.0, self._runtime.clock.now() - called_at)
        if not has_ended:
            self.raced = flight
            return
        await self._look_again()
        if is_warm(flight.prefix_hash, self._sightings, self._runtime.clock.now()):
            self.joined = flight
        await self._lead.take(self._sightings)

    async def give_back(self) -> None:
        """Releases what it leads: at the first event, on failure, at the end."""
        await self._lead.give_back()

    async def _flight_or_lead(self) -> Flight | None:
        await self._look()
        flight = self._flight()
        if flight is None and not await self._lead.take(self._sightings):
            # Another request was faster since that look-up.
            await self._look_again()
            flight = self._flight()
        return flight

    async def _look(self) -> None:
        if self._looked_at is None or not 0 <= self._runtime.clock.now() - self._looked_at < FRESH_SECONDS:
            await self._look_again()

    async def _look_again(self) -> None:
        self._looked_at = self._runtime.clock.now()
        try:
            self._sightings = await self._runtime.store.look_up(self._prefix.hashes)
        except StoreUnavailable:
            self._sightings = {}

    def _flight(self) -> Flight | None:
        return flight_for(self._prefix, self._sightings, self._runtime.clock.now())

    def _bound_seconds(self, flight: Flight) -> float | None:
        return wait_bound_seconds(self._runtime, self._prefix, flight, label=self._label)
