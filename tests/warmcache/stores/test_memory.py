import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.servers import PATIENCE_SECONDS
from tests.warmcache.contracts.warmth_store import WarmthStoreContract
from warmcache.stores.memory import MemoryWarmthStore
from warmcache.testing import FakeClock


class TestMemoryWarmthStore(WarmthStoreContract):
    @pytest.fixture
    def store(self, clock: FakeClock) -> MemoryWarmthStore:
        return MemoryWarmthStore(clock=clock)


async def test_a_waiter_is_not_held_beyond_the_lease_of_a_holder_that_is_gone(clock: FakeClock) -> None:
    store = MemoryWarmthStore(clock=clock)
    await store.claim("a", owner="gone", ttl_seconds=0.05)
    waiting = asyncio.create_task(store.wait_until_released("a", timeout_seconds=60))
    await asyncio.sleep(0)

    clock.advance(0.1)

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await waiting


async def test_a_waiter_looks_again_when_the_lease_would_have_ended_and_waits_on(clock: FakeClock) -> None:
    store = MemoryWarmthStore(clock=clock)
    await store.claim("a", owner="x", ttl_seconds=0.05)
    waiting = asyncio.create_task(store.wait_until_released("a", timeout_seconds=PATIENCE_SECONDS))
    await asyncio.sleep(0)
    await store.renew({"a": "x"}, ttl_seconds=60)
    await asyncio.sleep(0.1)
    has_ended = waiting.done()

    await store.release("a", owner="x")

    assert not has_ended
    assert await waiting


async def test_memory_is_bounded_and_the_oldest_goes_first(clock: FakeClock) -> None:
    store = MemoryWarmthStore(clock=clock, max_entries=3)
    for name in "abcd":
        await store.record_warm({name: clock.now() + 300})
        await store.record_uncacheable(f"un{name}", ttl_seconds=300)

    assert set(await store.look_up(["a", "b", "c", "d"])) == {"b", "c", "d"}
    assert set(await store.look_up(["una", "unb", "unc", "und"])) == {"unb", "unc", "und"}


async def test_an_entry_that_is_used_outlives_one_that_is_not(clock: FakeClock) -> None:
    store = MemoryWarmthStore(clock=clock, max_entries=2)
    for name in ("used", "idle", "used", "new"):
        await store.record_warm({name: clock.now() + 300})

    assert set(await store.look_up(["used", "idle", "new"])) == {"used", "new"}


async def test_a_lease_that_gives_way_to_newer_ones_wakes_those_who_wait_for_it(clock: FakeClock) -> None:
    store = MemoryWarmthStore(clock=clock, max_entries=2)
    await store.claim("oldest", owner="x", ttl_seconds=60)
    waiting = asyncio.create_task(store.wait_until_released("oldest", timeout_seconds=60))
    await asyncio.sleep(0)

    for name in "ab":
        await store.claim(name, owner="x", ttl_seconds=60)

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await waiting


names = st.sampled_from(["a", "b"])
owners = st.sampled_from(["x", "y", "z"])


class Leases(RuleBasedStateMachine):
    """Against the plainest model: who holds what until when, what is warm until when."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock(1000.0)
        self.store = MemoryWarmthStore(clock=self.clock)
        self.held: dict[str, tuple[str, float]] = {}
        self.warm: dict[str, float] = {}

    @rule(name=names, owner=owners, ttl=st.sampled_from([1.0, 5.0]))
    def claim(self, name: str, owner: str, ttl: float) -> None:
        is_free = self.holder(name) is None

        assert asyncio.run(self.store.claim(name, owner=owner, ttl_seconds=ttl)) == is_free
        if is_free:
            self.held[name] = (owner, self.clock.now() + ttl)

    @rule(name=names, owner=owners)
    def release(self, name: str, owner: str) -> None:
        asyncio.run(self.store.release(name, owner=owner))
        if self.holder(name) == owner:
            del self.held[name]

    @rule(name=names, seconds=st.sampled_from([-1.0, 2.0, 9.0]))
    def record_warm(self, name: str, seconds: float) -> None:
        expires_at = self.clock.now() + seconds
        asyncio.run(self.store.record_warm({name: expires_at}))
        self.warm[name] = max(expires_at, self.warm.get(name, 0.0))

    @rule(name=names)
    def forget(self, name: str) -> None:
        asyncio.run(self.store.record_warm({}, gone=[name]))
        self.warm.pop(name, None)

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def the_store_says_what_is_so(self) -> None:
        seen = asyncio.run(self.store.look_up(["a", "b"]))
        for name in ("a", "b"):
            sighting = seen.get(name)
            assert (sighting.lease_owner if sighting else None) == self.holder(name)
            expires_at = self.warm.get(name, 0.0)
            assert (sighting.expires_at if sighting else None) == (
                expires_at if expires_at > self.clock.now() else None
            )

    def holder(self, name: str) -> str | None:
        owner, until = self.held.get(name, (None, 0.0))
        return owner if until > self.clock.now() else None


TestLeases = Leases.TestCase
TestLeases.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
