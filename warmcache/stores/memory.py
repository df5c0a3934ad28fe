"""The store of leases and warmth for one process, in memory."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from warmcache.conf import Config
from warmcache.core.ports import Allowances, Clock, Sighting
from warmcache.core.reasons import Reason
from warmcache.stores.memory_allowances import MemoryAllowances

MAX_ENTRIES = 10_000
"""Limit of remembered hashes, about 300 bytes each. The oldest goes first: at worst a prefix is warmed again."""


@dataclass(slots=True)
class _Lease:
    owner: str
    expires_at: float
    called_at: float | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)


class MemoryWarmthStore:
    """A `WarmthStore` for one process and one event loop."""

    def __init__(self, *, clock: Clock, max_entries: int = MAX_ENTRIES) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._warm_until: dict[str, float] = {}
        self._uncacheable_until: dict[str, float] = {}
        self._leases: dict[str, _Lease] = {}
        self._stops: dict[str, tuple[Reason, float]] = {}
        self._allowances = MemoryAllowances(clock=clock, stops=self._stops)

    @classmethod
    def from_config(cls, config: Config, *, clock: Clock) -> Self:
        return cls(clock=clock)

    async def aclose(self) -> None:
        """Nothing to close."""

    def make_allowances(self) -> Allowances:
        return self._allowances

    async def look_up(self, hashes: Sequence[str], *, stops: Sequence[str] = ()) -> Mapping[str, Sighting]:
        now = self._clock.now()
        found: dict[str, Sighting] = {}
        for name in stops:
            stop = self._stops.get(name)
            if stop is not None and stop[1] > now:
                found[name] = Sighting(stopped_for=stop[0])
        for prefix_hash in hashes:
            sighting = self._sighting(prefix_hash, now)
            if sighting != _NOTHING:
                found[prefix_hash] = sighting
        return found

    async def claim(self, prefix_hash: str, *, owner: str, ttl_seconds: float, begins: bool = False) -> bool:
        now = self._clock.now()
        if self._live_lease(prefix_hash, now) is not None:
            return False
        called_at = now if begins else None
        self._leases[prefix_hash] = _Lease(owner=owner, expires_at=now + ttl_seconds, called_at=called_at)
        while len(self._leases) > self._max_entries:
            self._leases.pop(next(iter(self._leases))).released.set()
        return True

    async def begin(self, hashes: Sequence[str], *, owner: str) -> None:
        now = self._clock.now()
        for prefix_hash in hashes:
            lease = self._live_lease(prefix_hash, now)
            if lease is not None and lease.owner == owner:
                lease.called_at = now

    async def renew(self, owner_by_hash: Mapping[str, str], *, ttl_seconds: float) -> None:
        now = self._clock.now()
        for prefix_hash, owner in owner_by_hash.items():
            lease = self._live_lease(prefix_hash, now)
            if lease is not None and lease.owner == owner:
                lease.expires_at = now + ttl_seconds

    async def release(self, prefix_hash: str, *, owner: str) -> None:
        lease = self._leases.get(prefix_hash)
        if lease is not None and lease.owner == owner:
            del self._leases[prefix_hash]
            lease.released.set()

    async def wait_until_released(self, prefix_hash: str, *, timeout_seconds: float) -> bool:
        lease = self._live_lease(prefix_hash, self._clock.now())
        if lease is None:
            return True
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._wait_for_end(prefix_hash, lease)
        except TimeoutError:
            return False
        return True

    async def record_warm(self, expires_at_by_hash: Mapping[str, float], *, gone: Sequence[str] = ()) -> None:
        for prefix_hash in gone:
            self._warm_until.pop(prefix_hash, None)
        for prefix_hash, expires_at in expires_at_by_hash.items():
            later = max(expires_at, self._warm_until.pop(prefix_hash, expires_at))
            self._warm_until[prefix_hash] = later
        self._bound(self._warm_until)

    async def record_uncacheable(self, prefix_hash: str, *, ttl_seconds: float) -> None:
        self._uncacheable_until.pop(prefix_hash, None)
        self._uncacheable_until[prefix_hash] = self._clock.now() + ttl_seconds
        self._bound(self._uncacheable_until)

    async def stop(self, name: str, *, reason: Reason, ttl_seconds: float) -> None:
        self._stops.pop(name, None)
        self._stops[name] = (reason, self._clock.now() + ttl_seconds)
        self._bound(self._stops)

    async def _wait_for_end(self, prefix_hash: str, lease: _Lease) -> None:
        """Waits until the lease ends. A dead holder's lease expires by itself; a living holder renews it."""
        while self._live_lease(prefix_hash, now := self._clock.now()) is lease:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(lease.expires_at - now):
                    await lease.released.wait()
                    return

    def _sighting(self, prefix_hash: str, now: float) -> Sighting:
        sighting = _NOTHING
        if self._warm_until.get(prefix_hash, now) > now:
            sighting = replace(sighting, expires_at=self._warm_until[prefix_hash])
        if self._uncacheable_until.get(prefix_hash, now) > now:
            sighting = replace(sighting, is_uncacheable=True)
        lease = self._live_lease(prefix_hash, now)
        if lease is not None:
            sighting = replace(sighting, lease_owner=lease.owner, called_at=lease.called_at)
        return sighting

    def _live_lease(self, prefix_hash: str, now: float) -> _Lease | None:
        lease = self._leases.get(prefix_hash)
        if lease is None or lease.expires_at > now:
            return lease
        del self._leases[prefix_hash]
        lease.released.set()
        return None

    def _bound(self, entries: dict[str, Any]) -> None:
        while len(entries) > self._max_entries:
            del entries[next(iter(entries))]


_NOTHING = Sighting()
