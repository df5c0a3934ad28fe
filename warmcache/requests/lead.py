"""Real requests as leaders (single-flight): of many that need the same cold layer, one writes and the others read.

Without this, a deploy or a lesson that begins at nine costs one write per person. A request holds the leases of what
it will write from its call until the provider begins to answer: from then on the entries can be read.
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
    """The leases of one real request. It holds none while it waits, so requests cannot deadlock."""

    def __init__(self, runtime: Runtime, prefix: Prefix, request_id: UUID) -> None:
        self._runtime = runtime
        self._prefix = prefix
        self._owner = f"request {request_id}"
        self._held: list[str] = []

    async def take(self, sightings: Mapping[str, Sighting]) -> bool:
        """Claims the cold layers that no call writes yet; sends no command if there is none.

        False: another request claimed the first of them before us, and may be worth a wait. A store that is down is no
        reason to wait.
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
        """Called at the first event, on failure and at the end; only the first call has an effect."""
        held, self._held = self._held, []
        await self._runtime.leases.give_back(held, owner=self._owner)

    def _free_cold_layers(self, sightings: Mapping[str, Sighting]) -> list[str]:
        """Shallowest first. Nobody else needs the person's own text, and a small addition to what is already in the
        cache is not worth a wait."""
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
