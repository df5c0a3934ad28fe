import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from warmcache import services
from warmcache.cache.leases import LeaseKeeper
from warmcache.core.errors import StoreUnavailable
from warmcache.stores.memory import MemoryWarmthStore
from warmcache.testing import FakeClock, fake_runtime, make_prompt


@pytest.fixture
def store(clock: FakeClock) -> MemoryWarmthStore:
    return MemoryWarmthStore(clock=clock)


@pytest.fixture
async def keeper(store: MemoryWarmthStore) -> AsyncIterator[LeaseKeeper]:
    keeper = LeaseKeeper(store, lease_seconds=15)
    yield keeper
    await keeper.close()


async def holders(store: MemoryWarmthStore, *hashes: str) -> dict[str, str | None]:
    return {name: seen.lease_owner for name, seen in (await store.look_up(hashes)).items() if seen.lease_owner}


async def test_a_lease_lives_as_long_as_its_holder_renews_it(
    store: MemoryWarmthStore, keeper: LeaseKeeper, clock: FakeClock
) -> None:
    await keeper.claim("a", owner="x")
    for _ in range(20):
        clock.advance(10)
        await keeper.renew()
    lived = await holders(store, "a")

    clock.advance(15.1)

    assert lived == {"a": "x"}
    assert await holders(store, "a") == {}


async def test_all_leases_are_renewed_by_one_command_and_none_by_no_command(clock: FakeClock) -> None:
    renewals: list[dict[str, str]] = []

    class Noting(MemoryWarmthStore):
        async def renew(self, owner_by_hash: Any, *, ttl_seconds: float) -> None:
            renewals.append(dict(owner_by_hash))

    keeper = LeaseKeeper(Noting(clock=clock), lease_seconds=15)
    await keeper.renew()
    for name, owner in (("a", "x"), ("b", "x"), ("c", "y")):
        await keeper.claim(name, owner=owner)

    await keeper.renew()

    assert renewals == [{"a": "x", "b": "x", "c": "y"}]


async def test_what_is_given_back_is_not_renewed(
    store: MemoryWarmthStore, keeper: LeaseKeeper, clock: FakeClock
) -> None:
    await keeper.claim("a", owner="x")
    await keeper.give_back(["a"], owner="x")
    await store.claim("a", owner="another process's", ttl_seconds=15)
    clock.advance(10)
    await keeper.renew()

    clock.advance(6)

    assert await holders(store, "a") == {}


async def test_nobody_gives_back_what_another_holds(store: MemoryWarmthStore, keeper: LeaseKeeper) -> None:
    await keeper.claim("a", owner="x")

    assert not await keeper.claim("a", owner="y")
    await keeper.give_back(["a", "b"], owner="y")
    keeper.give_back_soon("y")
    await asyncio.sleep(0)

    assert await holders(store, "a") == {"a": "x"}


async def test_a_caller_that_is_cancelled_gives_back_all_the_same(clock: FakeClock) -> None:
    may_release = asyncio.Event()

    class Slow(MemoryWarmthStore):
        async def release(self, prefix_hash: str, *, owner: str) -> None:
            await may_release.wait()
            await super().release(prefix_hash, owner=owner)

    store = Slow(clock=clock)
    keeper = LeaseKeeper(store, lease_seconds=15)
    for name in "ab":
        await keeper.claim(name, owner="x")
    giving = asyncio.create_task(keeper.give_back(["a", "b"], owner="x"))
    await asyncio.sleep(0)

    giving.cancel()
    may_release.set()
    await asyncio.gather(giving, return_exceptions=True)
    await keeper.close()

    assert await holders(store, "a", "b") == {}


async def test_a_claim_that_is_cancelled_after_it_was_granted_is_given_back(clock: FakeClock) -> None:
    class SlowToAnswer(MemoryWarmthStore):
        async def claim(self, prefix_hash: str, **options: Any) -> bool:
            is_ours = await super().claim(prefix_hash, **options)
            await asyncio.sleep(60)
            return is_ours

    store = SlowToAnswer(clock=clock)
    keeper = LeaseKeeper(store, lease_seconds=15)
    claiming = asyncio.create_task(keeper.claim("a", owner="x"))
    await asyncio.sleep(0)
    granted = await holders(store, "a")

    claiming.cancel()
    await asyncio.gather(claiming, return_exceptions=True)
    await keeper.close()

    assert granted == {"a": "x"}
    assert await holders(store, "a") == {}


async def test_a_store_that_is_down_ends_nothing(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "warmcache.cache.leases")

    class Dying(MemoryWarmthStore):
        async def release(self, prefix_hash: str, *, owner: str) -> None:
            raise StoreUnavailable("down")

        async def renew(self, owner_by_hash: Any, *, ttl_seconds: float) -> None:
            raise StoreUnavailable("down")

    keeper = LeaseKeeper(Dying(clock=clock), lease_seconds=15)
    await keeper.claim("a", owner="x")

    await keeper.renew()
    await keeper.give_back(["a"], owner="x")

    assert len(keeper) == 0


async def test_a_process_that_closes_holds_nothing_any_more(store: MemoryWarmthStore) -> None:
    keeper = LeaseKeeper(store, lease_seconds=15)
    for name, owner in (("a", "x"), ("b", "y")):
        await keeper.claim(name, owner=owner)

    await keeper.close()

    assert await holders(store, "a", "b") == {}


async def test_a_warm_up_that_is_cancelled_before_its_first_step_gives_its_lease_back(clock: FakeClock) -> None:
    store = MemoryWarmthStore(clock=clock)
    async with fake_runtime(clock=clock, store=store, has_database=False) as fake:
        attempt = await services.prewarm_prefix(make_prompt(), intent="typing")
        (task,) = fake.runtime.tasks._tasks

        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        assert fake.provider.warm_up_count == 0
        assert await holders(store, *attempt.prefix.hashes) == {}


async def test_a_runtime_that_closes_before_a_warm_up_began_holds_nothing(clock: FakeClock) -> None:
    store = MemoryWarmthStore(clock=clock)
    async with fake_runtime(clock=clock, store=store, has_database=False):
        attempt = await services.prewarm_prefix(make_prompt(turns=1), intent="typing")

    assert await holders(store, *attempt.prefix.hashes) == {}
