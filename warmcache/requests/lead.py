"""Real requests as leaders: of many that need the same cold layer at once, one writes it and the others read it.

Without, a deploy or a lesson that begins at nine costs one write per person. A request holds the leases of what it is
about to write from its call until the provider begins to answer, for from then on the entries can be read.
"""

from collections.abc import Mapping
from uuid import UUID

from warmcache.core.beliefs import believed_warmth
from warmcache.core.catalog import facts_for
from warmcache.core.errors import StoreUnavailable
from warmcache.core.ports import Sighting
from warmcache.core.prefix import Layer, Prefix
from warmcache.runtime.state import Runtime


class RequestLead:
    """The leases of one real request. It holds none while it waits, so nobody ever waits in a circle."""

    def __init__(self, runtime: Runtime, prefix: Prefix, request_id: UUID) -> None:
        self._runtime = runtime
        self._prefix = prefix
        self._owner = f"request {request_id}"
        self._held: list[str] = []

    async def take(self, sightings: Mapping[str, Sighting]) -> bool:
        """Claims the cold layers that nobody writes yet; no command where there is none.

        False: another one was quicker with the first of them, and may be worth a wait. The store being down is no
        reason to wait for anybody.
        """
        try:
            for number, prefix_hash in enumerate(self._free_cold_layers(sightings)):
                is_ours = await self._runtime.leases.claim(prefix_hash, owner=self._owner, begins=True)
                if is_ours:
                    self._held.append(prefix_hash)
                elif number == 0:
                    return False
        except StoreUnavailable:
            pass
        return True

    async def give_back(self) -> None:
        """At the first event, at a failure, at the end: all but the first time have no effect."""
        held, self._held = self._held, []
        await self._runtime.leases.give_back(held, owner=self._owner)

    def _free_cold_layers(self, sightings: Mapping[str, Sighting]) -> list[str]:
        """Shallowest first. The person's own text is needed by nobody else, and a little more than what is already in
        the cache is not worth anybody's wait."""
        minimum = facts_for(self._prefix.model).min_prefix_tokens
        free = []
        for layer in believed_warmth(self._prefix, sightings, self._runtime.clock.now()):
            point = layer.breakpoint
            if point.layer is Layer.TURN or point.prefix_tokens - layer.hot_tokens < minimum:
                continue
            seen = sightings.get(point.prefix_hash, Sighting())
            if seen.lease_owner is not None:
                break
            if not seen.is_uncacheable:
                free.append(point.prefix_hash)
        return free
