import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.servers import PATIENCE_SECONDS
from tests.warmcache.warmups.warming import DeadStore, leases_of, warm
from warmcache import services
from warmcache.core.guards import Claim, Refusal
from warmcache.core.prefix import Prefix, Prompt
from warmcache.stores.memory import MemoryWarmthStore
from warmcache.stores.memory_allowances import MemoryAllowances
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime, make_prompt, make_turn


async def test_a_cold_prefix_is_warmed_and_then_left_alone(fake: FakeRuntime) -> None:
    first = await warm(make_prompt())
    second = await warm(make_prompt())

    assert (first.state, second.state) == ("warm", "warm")
    assert second.reason == "already_warm"
    assert fake.provider.warm_up_count == 1


async def test_two_hundred_considerations_at_once_make_one_call(fake: FakeRuntime) -> None:
    fake.provider.hold_warm_ups()
    prompt = make_prompt()

    attempts = await asyncio.gather(*(services.prewarm_prefix(prompt, intent="typing") for _ in range(200)))
    fake.provider.release_warm_ups()
    ends = await asyncio.gather(*(attempt.finished() for attempt in attempts if attempt.finished))

    assert fake.provider.warm_up_count == 1
    assert len(ends) == 200
    assert {end.state for end in ends} == {"warm"}


async def test_those_who_follow_get_the_leaders_bad_end_too(fake: FakeRuntime) -> None:
    fake.provider.hold_warm_ups()
    prompt = make_prompt()
    leader = await services.prewarm_prefix(prompt, intent="typing")
    follower = await services.prewarm_prefix(prompt, intent="typing")
    await fake.provider.warm_ups_in_flight()
    fake.provider.reports_nothing = True

    next(iter(fake.runtime.tasks._tasks)).cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader.finished()

    assert follower.decision.reason == "in_flight"
    assert (await follower.finished()).state == "cold"


async def test_whoever_gives_up_while_the_guards_decide_leaves_nothing_reserved(fake: FakeRuntime) -> None:
    is_asked, may_answer = asyncio.Event(), asyncio.Event()
    allowances = MemoryAllowances(clock=fake.clock)
    reserve = allowances.reserve

    async def reserve_slowly(claims: Sequence[Claim]) -> Refusal | None:
        refusal = await reserve(claims)
        is_asked.set()
        await may_answer.wait()
        return refusal

    allowances.reserve = reserve_slowly  # type: ignore[method-assign]
    fake.runtime.guards._allowances = allowances
    asking = asyncio.create_task(services.prewarm_prefix(make_prompt(), intent="typing", subject="ann"))
    await is_asked.wait()
    asking.cancel()
    await asyncio.wait({asking})
    may_answer.set()
    await fake.runtime.tasks.join(timeout_seconds=PATIENCE_SECONDS)

    assert asking.cancelled()
    assert {spent for spent, _ in allowances._sums.values()} == {0}
    assert not any(name.startswith("subject:") for name in allowances._trusts)
    assert await leases_of(fake, make_prompt()) == []


async def test_only_so_many_prompts_wait_in_memory_for_their_turn(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmcache.warmups.attempt.MAX_UNDER_WAY", 2)
    async with fake_runtime(clock=clock, has_database=False, max_concurrent_warm_ups=1) as fake:
        fake.provider.hold_warm_ups()
        attempts = [
            await services.prewarm_prefix(make_prompt(name=name, turns=1, system_tokens=0), intent="typing")
            for name in "abc"
        ]
        fake.provider.release_warm_ups()

        assert [attempt.warmth.reason for attempt in attempts] == [None, None, "busy"]


async def test_an_expiring_entry_is_renewed(fake: FakeRuntime, clock: FakeClock) -> None:
    await warm(make_prompt())
    clock.advance(295)
    decision = (await services.prewarm_prefix(make_prompt(), intent="typing")).decision

    assert (decision.action, decision.reason) == ("warm", "expiring")


async def test_a_real_request_warms_what_the_next_key_asks_for(fake: FakeRuntime) -> None:
    async with services.stream_response(make_prompt(), make_turn(), max_tokens=9) as response:
        [event async for event in response]

    assert (await warm(make_prompt())).reason == "already_warm"


async def test_a_live_prefix_is_considered_without_sql_and_without_hashing(
    fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    await warm(make_prompt())
    prefix = services.outline(make_prompt())

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("the hot path must not do this")

    for path in ("warmcache.ledger.writer.in_database_thread", "warmcache.core.prompt.passages.canonical_bytes"):
        monkeypatch.setattr(path, forbidden)
    monkeypatch.setattr("warmcache.core.prompt.prepared.hmac.digest", forbidden)
    attempts = [await services.consider_prefix(prefix, intent="typing") for _ in range(100)]

    assert {attempt.decision.reason for attempt in attempts if attempt} == {"already_warm"}
    assert sum(fake.runtime.ledger._skips.values()) == 100


class CountingStore(MemoryWarmthStore):
    calls = 0

    async def look_up(self, hashes: Sequence[str], *, stops: Sequence[str] = ()):  # type: ignore[no-untyped-def]
        self.calls += 1
        return await super().look_up(hashes, stops=stops)


async def test_considering_costs_one_look_up(clock: FakeClock) -> None:
    store = CountingStore(clock=clock)
    async with fake_runtime(clock=clock, store=store, has_database=False):
        await services.consider_prefix(services.outline(make_prompt()), intent="typing")

    assert store.calls == 1


async def test_without_the_store_nothing_is_warmed_and_the_reply_comes(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock, store=DeadStore(clock=clock), has_database=False) as fake:
        attempt = await services.prewarm_prefix(make_prompt(), intent="typing")
        warmth = await services.warmth_of(attempt.prefix)
        async with services.stream_response(make_prompt(), make_turn(), max_tokens=9) as response:
            expected = await response.expected_warmth()
            [event async for event in response]

        assert (attempt.decision.reason, warmth.state, expected) == ("store_unavailable", "cold", "cold")
        assert response.result.status == "complete"
        assert fake.provider.warm_up_count == 0


async def test_the_off_switch_stops_warming_and_nothing_else(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock, has_database=False, enabled=False) as fake:
        warmth = await warm(make_prompt())
        async with services.stream_response(make_prompt(), make_turn(), max_tokens=9) as response:
            [event async for event in response]

        assert (warmth.state, warmth.reason) == ("skipped", "warming_off")
        assert (fake.provider.warm_up_count, fake.provider.reply_count) == (0, 1)


async def test_an_empty_prompt_is_no_reason_to_fall_over(fake: FakeRuntime) -> None:
    prompt = Prompt(model="claude-sonnet-5-5")

    warmth = await warm(prompt)

    assert warmth.reason == "below_minimum_tokens"
    assert (await services.warmth_of(Prefix(model=prompt.model, breakpoints=()))).state == "skipped"


async def test_what_is_believed_follows_the_entry_from_cold_to_cold(fake: FakeRuntime, clock: FakeClock) -> None:
    prefix = services.outline(make_prompt())
    states = [(await services.warmth_of(prefix)).state]
    fake.provider.hold_warm_ups()
    attempt = await services.prewarm_prefix(make_prompt(), intent="typing")
    states.append((await services.warmth_of(prefix)).state)
    fake.provider.release_warm_ups()
    assert attempt.finished is not None
    await attempt.finished()
    for seconds in (1, 250, 60):
        clock.advance(seconds)
        states.append((await services.warmth_of(prefix)).state)

    assert states == ["cold", "warming", "warm", "expiring", "cold"]


async def test_another_key_or_another_provider_shares_no_warmth(fake: FakeRuntime) -> None:
    await warm(make_prompt())

    fake.runtime.config = replace(fake.runtime.config, api_key="another")

    assert (await services.warmth_of(services.outline(make_prompt()))).state == "cold"
