"""What every `WarmthStore` keeps. A new store gets a class that inherits this and a `store` fixture."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.servers import PATIENCE_SECONDS
from warmcache.core.guards import KEY_TERMS, SUBJECT_TERMS, Adjust, Pay, Strike, Undo
from warmcache.core.ports import WarmthStore
from warmcache.testing import FakeClock


async def asked(store: WarmthStore) -> None:
    """Lets those who have begun to wait ask first: a server answers later who asks later."""
    for _ in range(3):
        await asyncio.sleep(0.01)
        await store.look_up(["a"])


class WarmthStoreContract:
    """Fixtures to give: `store`, and `clock`, a `FakeClock` that the store goes by.

    A store that also lives by its server's clock overrides `pass_time`.
    """

    @pytest.fixture
    def pass_time(self, clock: FakeClock) -> Callable[[float], Awaitable[None]]:
        async def advance(seconds: float) -> None:
            clock.advance(seconds)

        return advance

    async def test_nothing_is_known_of_a_new_hash(self, store: WarmthStore) -> None:
        assert await store.look_up(["a", "b"]) == {}

    async def test_looking_up_nothing_finds_nothing(self, store: WarmthStore) -> None:
        assert await store.look_up([]) == {}

    async def test_only_one_of_many_claims_a_prefix(self, store: WarmthStore) -> None:
        claims = await asyncio.gather(*(store.claim("a", owner=f"worker-{n}", ttl_seconds=60) for n in range(50)))

        assert claims.count(True) == 1

    async def test_claims_of_different_prefixes_do_not_meet(self, store: WarmthStore) -> None:
        assert await store.claim("a", owner="x", ttl_seconds=60)
        assert await store.claim("b", owner="y", ttl_seconds=60)

    async def test_not_even_the_holder_claims_twice(self, store: WarmthStore) -> None:
        await store.claim("a", owner="x", ttl_seconds=60)

        assert not await store.claim("a", owner="x", ttl_seconds=60)

    async def test_a_lease_shows_who_holds_it(self, store: WarmthStore) -> None:
        await store.claim("a", owner="x y", ttl_seconds=60)

        seen = (await store.look_up(["a"]))["a"]

        assert seen.lease_owner == "x y"
        assert (seen.called_at, seen.expires_at, seen.is_uncacheable) == (None, None, False)

    async def test_a_lease_shows_since_when_its_holder_s_call_is_under_way(
        self, store: WarmthStore, clock: FakeClock
    ) -> None:
        await store.claim("a", owner="x", ttl_seconds=60)
        await store.claim("b", owner="y", ttl_seconds=60)
        clock.advance(1)

        await store.begin(["a", "b", "nobody's"], owner="x")

        seen = await store.look_up(["a", "b", "nobody's"])
        assert seen["a"].called_at == pytest.approx(clock.now(), abs=0.01)
        assert seen["b"].called_at is None
        assert "nobody's" not in seen

    async def test_a_call_that_begins_does_not_lengthen_its_lease(
        self, store: WarmthStore, pass_time: Callable[[float], Awaitable[None]]
    ) -> None:
        await store.claim("a", owner="x", ttl_seconds=60)
        await pass_time(50)
        await store.begin(["a"], owner="x")

        await pass_time(10.1)

        assert await store.look_up(["a"]) == {}

    async def test_a_claim_can_say_at_once_that_the_call_begins(self, store: WarmthStore, clock: FakeClock) -> None:
        assert await store.claim("a", owner="x", ttl_seconds=60, begins=True)
        assert not await store.claim("a", owner="y", ttl_seconds=60, begins=True)

        seen = (await store.look_up(["a"]))["a"]

        assert (seen.lease_owner, seen.called_at) == ("x", pytest.approx(clock.now(), abs=0.01))

    async def test_a_renewed_lease_lives_on_and_those_of_others_do_not(
        self, store: WarmthStore, clock: FakeClock, pass_time: Callable[[float], Awaitable[None]]
    ) -> None:
        for name in ("a", "b"):
            await store.claim(name, owner="x 1", ttl_seconds=60, begins=True)
        await store.claim("c", owner="y", ttl_seconds=60)
        called_at = (await store.look_up(["a"]))["a"].called_at
        await pass_time(50)

        await store.renew({"a": "x 1", "b": "x 1", "c": "x 1", "nobody's": "x 1"}, ttl_seconds=60)
        await pass_time(50)

        seen = await store.look_up(["a", "b", "c", "nobody's"])
        assert {name: sighting.lease_owner for name, sighting in seen.items()} == {"a": "x 1", "b": "x 1"}
        assert seen["a"].called_at == called_at

    async def test_renewing_nothing_is_allowed(self, store: WarmthStore) -> None:
        await store.renew({}, ttl_seconds=60)

    async def test_a_lease_that_has_ended_is_not_brought_back(
        self, store: WarmthStore, pass_time: Callable[[float], Awaitable[None]]
    ) -> None:
        await store.claim("a", owner="x", ttl_seconds=20)
        await pass_time(20.1)

        await store.renew({"a": "x"}, ttl_seconds=60)

        assert await store.claim("a", owner="y", ttl_seconds=60)

    async def test_a_released_lease_can_be_claimed_again(self, store: WarmthStore) -> None:
        await store.claim("a", owner="x", ttl_seconds=60)
        await store.release("a", owner="x")

        assert await store.look_up(["a"]) == {}
        assert await store.claim("a", owner="y", ttl_seconds=60)

    async def test_a_lease_can_be_released_by_its_holder_only(self, store: WarmthStore) -> None:
        await store.claim("a", owner="worker-1", ttl_seconds=60)

        for stranger in ("worker", "worker-", "worker-10", "worker-1 ", ""):
            await store.release("a", owner=stranger)

        assert not await store.claim("a", owner="y", ttl_seconds=60)

    async def test_releasing_what_nobody_holds_does_nothing(self, store: WarmthStore) -> None:
        await store.release("a", owner="x")

        assert await store.look_up(["a"]) == {}

    async def test_a_lease_ends_by_itself(
        self, store: WarmthStore, pass_time: Callable[[float], Awaitable[None]]
    ) -> None:
        await store.claim("a", owner="x", ttl_seconds=60)

        await pass_time(60.1)

        assert await store.look_up(["a"]) == {}
        assert await store.claim("a", owner="y", ttl_seconds=60)

    async def test_a_late_release_does_not_take_the_lease_of_the_next_holder(
        self, store: WarmthStore, pass_time: Callable[[float], Awaitable[None]]
    ) -> None:
        await store.claim("a", owner="x", ttl_seconds=60)
        await pass_time(60.1)
        await store.claim("a", owner="y", ttl_seconds=60)

        await store.release("a", owner="x")

        assert not await store.claim("a", owner="z", ttl_seconds=60)

    async def test_nobody_waits_for_what_nobody_holds(self, store: WarmthStore) -> None:
        assert await store.wait_until_released("a", timeout_seconds=PATIENCE_SECONDS)

    async def test_all_who_wait_go_on_when_the_lease_is_released(self, store: WarmthStore) -> None:
        await store.claim("a", owner="x", ttl_seconds=60)
        waiting = [
            asyncio.create_task(store.wait_until_released("a", timeout_seconds=PATIENCE_SECONDS)) for _ in range(20)
        ]
        await asked(store)

        await store.release("a", owner="x")

        assert await asyncio.gather(*waiting) == [True] * 20

    async def test_one_who_leaves_and_one_who_comes_at_the_same_moment_do_not_meet(self, store: WarmthStore) -> None:
        await store.claim("a", owner="x", ttl_seconds=60)
        leaves = asyncio.create_task(store.wait_until_released("a", timeout_seconds=PATIENCE_SECONDS))
        await asked(store)
        leaves.cancel()
        comes = asyncio.create_task(store.wait_until_released("a", timeout_seconds=PATIENCE_SECONDS))
        await asked(store)

        await store.release("a", owner="x")

        assert leaves.cancelled()
        assert await comes

    async def test_who_waits_for_one_holder_does_not_wait_for_the_next(self, store: WarmthStore) -> None:
        await store.claim("a", owner="x", ttl_seconds=60)
        waiting = [
            asyncio.create_task(store.wait_until_released("a", timeout_seconds=PATIENCE_SECONDS)) for _ in range(3)
        ]
        await asked(store)

        await store.release("a", owner="x")
        await store.claim("a", owner="y", ttl_seconds=60)

        assert await asyncio.gather(*waiting) == [True] * 3
        assert not await store.wait_until_released("a", timeout_seconds=0.02)

    async def test_waiting_goes_on_while_the_holder_renews(
        self, store: WarmthStore, pass_time: Callable[[float], Awaitable[None]]
    ) -> None:
        await store.claim("a", owner="x", ttl_seconds=60)
        waiting = asyncio.create_task(store.wait_until_released("a", timeout_seconds=PATIENCE_SECONDS))
        await asked(store)
        await pass_time(50)
        await store.renew({"a": "x"}, ttl_seconds=60)
        await pass_time(50)
        await asyncio.sleep(0.6)  # longer than a store may take to look again
        has_ended = waiting.done()

        await store.release("a", owner="x")

        assert not has_ended
        assert await waiting

    async def test_waiting_ends_after_the_time_out(self, store: WarmthStore) -> None:
        await store.claim("a", owner="x", ttl_seconds=60)

        assert not await store.wait_until_released("a", timeout_seconds=0.02)

    async def test_a_waiter_that_leaves_changes_nothing_for_the_others(self, store: WarmthStore) -> None:
        await store.claim("a", owner="x", ttl_seconds=60)
        leaves, stays = (
            asyncio.create_task(store.wait_until_released("a", timeout_seconds=PATIENCE_SECONDS)) for _ in range(2)
        )
        await asked(store)

        leaves.cancel()
        await asyncio.sleep(0)
        await store.release("a", owner="x")

        assert await stays

    async def test_a_warm_entry_is_seen_until_it_expires(
        self, store: WarmthStore, clock: FakeClock, pass_time: Callable[[float], Awaitable[None]]
    ) -> None:
        expires_at = clock.now() + 20
        await store.record_warm({"a": expires_at, "b": expires_at + 100})
        seen = await store.look_up(["a", "b", "c"])
        await pass_time(20.1)

        assert {name: sighting.expires_at for name, sighting in seen.items()} == {
            "a": pytest.approx(expires_at),
            "b": pytest.approx(expires_at + 100),
        }
        assert list(await store.look_up(["a", "b"])) == ["b"]

    async def test_an_earlier_expiry_never_replaces_a_later_one(self, store: WarmthStore, clock: FakeClock) -> None:
        await store.record_warm({"a": clock.now() + 300})
        await store.record_warm({"a": clock.now() + 100})

        assert (await store.look_up(["a"]))["a"].expires_at == pytest.approx(clock.now() + 300)

    async def test_a_later_expiry_replaces_an_earlier_one(self, store: WarmthStore, clock: FakeClock) -> None:
        await store.record_warm({"a": clock.now() + 100})
        await store.record_warm({"a": clock.now() + 300})

        assert (await store.look_up(["a"]))["a"].expires_at == pytest.approx(clock.now() + 300)

    async def test_an_entry_that_has_expired_before_it_is_recorded_is_not_warm(
        self, store: WarmthStore, clock: FakeClock
    ) -> None:
        await store.record_warm({"a": clock.now() - 1})

        assert await store.look_up(["a"]) == {}

    async def test_recording_nothing_is_allowed(self, store: WarmthStore) -> None:
        await store.record_warm({})

    async def test_forgetting_takes_the_warmth_and_leaves_the_lease(self, store: WarmthStore, clock: FakeClock) -> None:
        await store.record_warm({"a": clock.now() + 300, "b": clock.now() + 300})
        await store.claim("a", owner="x", ttl_seconds=60)

        await store.record_warm({}, gone=["a", "never seen"])

        seen = await store.look_up(["a", "b"])
        assert (seen["a"].expires_at, seen["a"].lease_owner) == (None, "x")
        assert seen["b"].expires_at is not None

    async def test_what_is_forgotten_and_written_at_once_is_warm_for_as_long_as_it_was_written(
        self, store: WarmthStore, clock: FakeClock
    ) -> None:
        await store.record_warm({"a": clock.now() + 300, "b": clock.now() + 300})

        await store.record_warm({"a": clock.now() + 100}, gone=["b", "a"])

        seen = await store.look_up(["a", "b"])
        assert {name: sighting.expires_at for name, sighting in seen.items()} == {"a": clock.now() + 100}

    async def test_what_cannot_be_cached_is_marked_for_a_while(
        self, store: WarmthStore, pass_time: Callable[[float], Awaitable[None]]
    ) -> None:
        await store.record_uncacheable("a", ttl_seconds=20)
        marked = (await store.look_up(["a"]))["a"].is_uncacheable
        await pass_time(20.1)

        assert marked
        assert await store.look_up(["a"]) == {}

    async def test_a_stop_is_seen_under_its_name_until_it_ends(
        self, store: WarmthStore, pass_time: Callable[[float], Awaitable[None]]
    ) -> None:
        await store.stop("all", reason="budget", ttl_seconds=20)
        await store.stop("all", reason="user_budget", ttl_seconds=20)
        seen = await store.look_up(["a"], stops=["all", "other"])
        unasked = await store.look_up(["all"])
        await pass_time(20.1)

        assert {name: sighting.stopped_for for name, sighting in seen.items()} == {"all": "user_budget"}
        assert unasked == {}
        assert await store.look_up([], stops=["all"]) == {}

    async def test_what_is_paid_for_or_never_happened_ends_the_stop_of_its_account(self, store: WarmthStore) -> None:
        allowances = store.make_allowances()
        for name in "abcd":
            await store.stop(name, reason="no_credit", ttl_seconds=60)

        await allowances.settle([Pay(account="a"), Undo(account="never there", terms=SUBJECT_TERMS)])
        await allowances.settle([Undo(account="b", terms=SUBJECT_TERMS), Adjust(account="c", amount=1)])
        await allowances.take_met(["h"], started_at=0, changes=[Pay(account="d"), Strike(account="c", terms=KEY_TERMS)])

        assert list(await store.look_up([], stops=list("abcd"))) == ["c"]

    async def test_the_allowances_of_a_store_are_the_same_each_time(self, store: WarmthStore) -> None:
        assert store.make_allowances() is store.make_allowances()

    async def test_warmth_a_lease_and_a_mark_stand_side_by_side(self, store: WarmthStore, clock: FakeClock) -> None:
        await store.record_warm({"a": clock.now() + 300})
        await store.claim("a", owner="x", ttl_seconds=60)
        await store.record_uncacheable("a", ttl_seconds=60)

        seen = (await store.look_up(["a"]))["a"]

        assert (seen.lease_owner, seen.is_uncacheable) == ("x", True)
        assert seen.expires_at == pytest.approx(clock.now() + 300)
