"""Warm-ups as the tests of this folder send them and look at them."""

from warmcache import services
from warmcache.checks import STORE_METHODS
from warmcache.core.errors import StoreUnavailable
from warmcache.core.prefix import Layer, Prompt
from warmcache.stores.memory import MemoryWarmthStore
from warmcache.testing import FakeRuntime


async def warm(prompt: Prompt, intent: str = "typing") -> services.Warmth:
    attempt = await services.prewarm_prefix(prompt, intent=intent)
    return await attempt.finished() if attempt.finished else attempt.warmth


def hash_of(prompt: Prompt, layer: Layer) -> str:
    return next(point.prefix_hash for point in services.outline(prompt).breakpoints if point.layer is layer)


async def leases_of(fake: FakeRuntime, prompt: Prompt) -> list[str]:
    seen = await fake.runtime.store.look_up(services.outline(prompt).hashes)
    return [sighting.lease_owner for sighting in seen.values() if sighting.lease_owner]


def skip_reasons(fake: FakeRuntime) -> set[str]:
    return {reason for _, _, _, reason in fake.runtime.ledger._skips}


class DeadStore(MemoryWarmthStore):
    """One whose server is down."""

    dies_with = set(STORE_METHODS) - {"from_config", "make_allowances", "aclose"}

    def __getattribute__(self, name: str):  # type: ignore[no-untyped-def]
        if name in type(self).dies_with:
            return self._refuse
        return super().__getattribute__(name)

    async def _refuse(self, *_: object, **__: object) -> None:
        raise StoreUnavailable("down")
