"""The leases of this process: renewed while it lives, given back when it closes.

A lease is short, so that others soon notice a dead holder; a living holder renews all its leases in one command. If
the store is down they expire on their own, and at worst a prefix is written twice.
"""

import asyncio
import logging
from collections.abc import Sequence

from warmcache.background.tasks import TaskOwner
from warmcache.core.errors import StoreUnavailable
from warmcache.core.ports import WarmthStore

logger = logging.getLogger(__name__)

RENEWALS_PER_LEASE = 3
"""Two renewals may be late or lost before a lease expires while its holder lives."""

CLOSE_PATIENCE_SECONDS = 2.0


class LeaseKeeper:
    """The leases of one event loop. `owner` names a warm-up or a real request; it is unique."""

    def __init__(self, store: WarmthStore, *, lease_seconds: float) -> None:
        self._store = store
        self._lease_seconds = lease_seconds
        self._owner_by_hash: dict[str, str] = {}
        self._releases = TaskOwner("leases")

    def __len__(self) -> int:
        return len(self._owner_by_hash)

    async def claim(self, prefix_hash: str, *, owner: str, begins: bool = False) -> bool:
        """Like the store's `claim`, but the lease is renewed until it is given back. May raise `StoreUnavailable`."""
        try:
            is_ours = await self._store.claim(prefix_hash, owner=owner, ttl_seconds=self._lease_seconds, begins=begins)
        except asyncio.CancelledError:
            # The store may have granted the lease nevertheless, and nobody else would know.
            self._releases.spawn(self._release(prefix_hash, owner), name=prefix_hash)
            raise
        if is_ours:
            self._owner_by_hash[prefix_hash] = owner
        return is_ours

    async def give_back(self, hashes: Sequence[str], *, owner: str) -> None:
        """Releases those that `owner` holds, even if the caller is cancelled. Never raises because of the store."""
        releases = [self._release_held(h, owner) for h in hashes if self._owner_by_hash.get(h) == owner]
        if releases:
            await asyncio.shield(asyncio.gather(*releases))

    def give_back_soon(self, owner: str) -> None:
        """Releases all that `owner` holds, without waiting for the store."""
        for prefix_hash in [h for h, holder in self._owner_by_hash.items() if holder == owner]:
            self._release_held(prefix_hash, owner)

    async def renew_forever(self) -> None:
        """Runs as a task of the runtime until it is cancelled. Costs nothing while no lease is held."""
        while True:
            await asyncio.sleep(self._lease_seconds / RENEWALS_PER_LEASE)
            await self.renew()

    async def renew(self) -> None:
        """Renews all leases once."""
        if not self._owner_by_hash:
            return
        try:
            await self._store.renew(dict(self._owner_by_hash), ttl_seconds=self._lease_seconds)
        except StoreUnavailable:
            logger.warning("%d leases could not be renewed", len(self._owner_by_hash))

    async def close(self) -> None:
        """Gives back all remaining leases."""
        for owner in set(self._owner_by_hash.values()):
            self.give_back_soon(owner)
        await self._releases.join(timeout_seconds=CLOSE_PATIENCE_SECONDS)
        await self._releases.close()

    def _release_held(self, prefix_hash: str, owner: str) -> asyncio.Task[None]:
        del self._owner_by_hash[prefix_hash]
        return self._releases.spawn(self._release(prefix_hash, owner), name=prefix_hash)

    async def _release(self, prefix_hash: str, owner: str) -> None:
        try:
            await self._store.release(prefix_hash, owner=owner)
        except StoreUnavailable:
            logger.warning("A lease could not be given back; it ends by itself in %.0f s", self._lease_seconds)
