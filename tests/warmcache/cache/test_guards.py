"""Credits, budgets and breakers as a host meets them, over the store in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from tests.servers import PATIENCE_SECONDS
from warmcache import services
from warmcache.core.economics import request_cost_usd
from warmcache.core.errors import StoreUnavailable, UpstreamUnavailable
from warmcache.core.guards import KEY_TERMS, LABEL_TERMS, SUBJECT_TERMS
from warmcache.core.prefix import Prompt
from warmcache.models import WarmPolicy
from warmcache.operator_policy import PolicyWatch
from warmcache.stores.memory import MemoryWarmthStore
from warmcache.testing import FakeClock, FakeProvider, FakeRuntime, fake_runtime, make_prompt, make_turn

ANN, BOB = "user 1", "user 2"
MINUTE, HOUR = 60, 3600


async def warm(prompt: Prompt, subject: str = ANN, **options: Any) -> services.Warmth:
    options = {"intent": "typing", "label": "helpdesk", **options}
    attempt = await services.prewarm_prefix(prompt, subject=subject, **options)
    return await attempt.finished() if attempt.finished else attempt.warmth


async def send(prompt: Prompt, subject: str = ANN, **options: Any) -> None:
    options = {"label": "helpdesk", **options}
    async with services.stream_response(prompt, make_turn(), max_tokens=9, subject=subject, **options) as response:
        async for _ in response:
            pass


def chat(number: int) -> Prompt:
    """A conversation of its own, without a layer that others share."""
    return make_prompt(system_tokens=0, name=f"chat {number}", turns=4)


async def reasons(prompts: list[Prompt], subject: str = ANN) -> list[str | None]:
    return [(await warm(prompt, subject)).reason for prompt in prompts]


async def policy(fake: FakeRuntime, **fields: Any) -> None:
    fake.runtime.policy = PolicyWatch(fake.runtime.config, read=lambda: WarmPolicy(**fields))
    await fake.runtime.policy.refresh()


@asynccontextmanager
async def two_processes(clock: FakeClock) -> AsyncIterator[tuple[FakeRuntime, Any]]:
    """A runtime, and a way to do something as another process on the same store would."""
    store, provider = MemoryWarmthStore(clock=clock), FakeProvider(clock=clock)
    async with fake_runtime(clock=clock, store=store, provider=provider, has_database=False) as fake:

        async def elsewhere(act: Any) -> Any:
            async def live() -> Any:
                async with fake_runtime(clock=clock, store=store, provider=provider, has_database=False):
                    return await act()

            return await asyncio.to_thread(asyncio.run, live())

        yield fake, elsewhere


class TestCredits:
    async def test_a_new_subject_has_three_and_then_none(self, fake: FakeRuntime) -> None:
        assert await reasons([chat(n) for n in range(5)]) == [None, None, None, "no_credit", "no_credit"]
        assert fake.provider.warm_up_count == 3

    async def test_others_are_not_touched_by_it(self, fake: FakeRuntime) -> None:
        await reasons([chat(n) for n in range(4)])

        assert await reasons([chat(9)], BOB) == [None]

    async def test_a_host_that_names_nobody_has_no_credits(self, fake: FakeRuntime) -> None:
        assert await reasons([chat(n) for n in range(12)], "") == [None] * 12

    async def test_a_request_gives_one_back_and_ends_the_wait(self, fake: FakeRuntime) -> None:
        await reasons([chat(n) for n in range(4)])

        await send(chat(50))

        assert await reasons([chat(n) for n in range(4, 9)]) == [None, None, None, "no_credit", "no_credit"]

    async def test_a_request_that_the_provider_never_answered_earns_nothing(self, fake: FakeRuntime) -> None:
        await reasons([chat(n) for n in range(4)])
        fake.provider.fail(UpstreamUnavailable("server_error", "no"), times=9, kind="reply")

        with pytest.raises(UpstreamUnavailable):
            await send(chat(50))

        assert await reasons([chat(5)]) == ["no_credit"]

    @pytest.mark.parametrize("purpose", ["title", "compaction", "tool_round"])
    async def test_a_request_that_nobody_has_written_earns_nothing(self, fake: FakeRuntime, purpose: str) -> None:
        await reasons([chat(n) for n in range(4)])

        await send(chat(50), purpose=purpose)

        assert await reasons([chat(5)]) == ["no_credit"]

    async def test_probes_follow_after_1_2_4_and_8_hours(self, fake: FakeRuntime, clock: FakeClock) -> None:
        granted = []
        for step in range(24 * 4):
            if (await warm(chat(step))).reason is None:
                granted.append(step / 4)
            clock.advance(HOUR / 4)

        assert granted == [0, 0.25, 0.5, 1.5, 3.5, 7.5, 15.5]

    async def test_a_keystroke_without_credit_costs_one_look_up(self, fake: FakeRuntime) -> None:
        await reasons([chat(n) for n in range(4)])

        skipped = await services.consider_prefix(
            services.outline(chat(5)), intent="typing", label="helpdesk", subject=ANN
        )

        assert skipped is not None
        assert skipped.decision.reason == "no_credit"

    async def test_what_is_warm_is_said_to_be_warm_even_to_those_without_credit(self, fake: FakeRuntime) -> None:
        assert (await reasons([chat(0), chat(1), chat(2), chat(3), chat(0)]))[3:] == ["no_credit", "already_warm"]

    async def test_a_shared_layer_that_anybody_reads_gives_the_credit_back(self, fake: FakeRuntime) -> None:
        await reasons([make_prompt(), chat(1), chat(2)])

        await send(make_prompt(turns=2, name="bob's"), BOB)

        assert await reasons([chat(3)]) == [None]

    async def test_a_shared_layer_is_given_back_once(self, fake: FakeRuntime) -> None:
        await reasons([make_prompt(), chat(1), chat(2)])

        for number in range(3):
            await send(make_prompt(turns=2, name=f"bob's {number}"), BOB)

        assert (await reasons([chat(n) for n in range(3, 8)])).count(None) == 3

    async def test_reading_ones_own_shared_layer_counts_once(self, fake: FakeRuntime) -> None:
        for _ in range(7):
            await warm(make_prompt())
            await send(make_prompt())
            fake.clock.advance(10 * MINUTE)

        assert (await reasons([chat(n) for n in range(5)])).count(None) == SUBJECT_TERMS.free

    async def test_a_warm_up_that_fails_costs_no_credit(self, fake: FakeRuntime) -> None:
        fake.provider.fail(UpstreamUnavailable("server_error", "no"), times=5, kind="warm_up")
        failures = [(await warm(chat(n))).state for n in range(5)]

        assert failures == ["failed"] * 5
        assert await reasons([chat(n) for n in range(10, 14)]) == [None, None, None, "no_credit"]

    async def test_credits_are_those_of_all_processes(self, clock: FakeClock) -> None:
        async with two_processes(clock) as (_, elsewhere):
            first = await reasons([chat(0), chat(1)])
            second = await elsewhere(lambda: reasons([chat(2), chat(3)]))

            assert (first, second) == ([None, None], [None, "no_credit"])


class TestBudgets:
    async def test_so_many_warm_ups_a_day_and_no_more(self, fake: FakeRuntime, clock: FakeClock) -> None:
        await policy(fake, user_daily_warm_ups=2)
        today = await reasons([chat(n) for n in range(3)])
        others = await reasons([chat(9)], BOB)
        clock.advance(24 * HOUR)

        assert today == [None, None, "user_budget"]
        assert (others, await reasons([chat(5)])) == ([None], [None])

    async def test_the_budget_of_all_stops_everybody(self, fake: FakeRuntime) -> None:
        await policy(fake, daily_warm_ups=1)

        assert await reasons([chat(0)]) == [None]
        assert await reasons([chat(1)], BOB) == ["budget"]
        assert await reasons([chat(2)], "") == ["budget"]

    async def test_dollars_are_counted_as_they_were_billed(self, fake: FakeRuntime) -> None:
        await warm(chat(0))
        usage = fake.provider.sent[0].usage
        rates = fake.runtime.rates(chat(0).model, 1)
        assert usage is not None and rates is not None
        one = request_cost_usd(usage, rates)

        await policy(fake, user_daily_usd=Decimal("1.9") * one)
        too_little = await reasons([chat(1)])
        await policy(fake, user_daily_usd=Decimal("2.1") * one)
        fake.clock.advance(3)
        enough = await reasons([chat(1), chat(2)])

        assert (too_little, enough) == (["user_budget"], [None, "user_budget"])

    @pytest.mark.parametrize("name", ["user_daily_usd", "user_daily_warm_ups", "daily_usd", "daily_warm_ups"])
    async def test_a_budget_of_nothing_allows_nothing(self, fake: FakeRuntime, name: str) -> None:
        await policy(fake, **{name: Decimal(0) if name.endswith("usd") else 0})

        assert (await reasons([chat(0)]))[0] in ("user_budget", "budget")
        assert fake.provider.sent == []

    async def test_a_raised_budget_is_in_force_within_two_seconds(self, fake: FakeRuntime, clock: FakeClock) -> None:
        await policy(fake, daily_warm_ups=0)
        await reasons([chat(0)])
        await policy(fake, daily_warm_ups=5)
        clock.advance(2)

        assert await reasons([chat(0)]) == [None]

    async def test_many_at_once_do_not_exceed_it(self, fake: FakeRuntime) -> None:
        await policy(fake, daily_warm_ups=5)

        await asyncio.gather(*(warm(chat(n), f"user {n}") for n in range(30)))

        assert fake.provider.warm_up_count == 5

    async def test_what_failed_is_not_charged_and_what_may_be_billed_is(self, fake: FakeRuntime) -> None:
        await policy(fake, user_daily_warm_ups=1)
        fake.provider.fail(UpstreamUnavailable("server_error", "no"), kind="warm_up")
        refused = await warm(chat(0))
        again = await warm(chat(1))

        assert (refused.state, again.state) == ("failed", "warm")

    async def test_a_call_that_was_given_up_half_way_stays_charged(self, fake: FakeRuntime) -> None:
        fake.provider.fail(UpstreamUnavailable("timed_out", "no"), kind="warm_up")
        await policy(fake, user_daily_usd=Decimal("0.000001") + await cost_of_one(fake))
        await warm(chat(0))

        assert await reasons([chat(1)]) == ["user_budget"]

    async def test_nothing_is_reserved_by_those_who_get_no_lease(self, fake: FakeRuntime) -> None:
        await policy(fake, daily_warm_ups=2)
        fake.provider.hold_warm_ups()
        attempts = await asyncio.gather(
            *(services.prewarm_prefix(chat(0), intent="typing", subject=f"user {n}") for n in range(20))
        )
        fake.provider.release_warm_ups()
        await asyncio.gather(*(attempt.finished() for attempt in attempts if attempt.finished))

        assert await reasons([chat(1), chat(2)]) == [None, "budget"]


async def cost_of_one(fake: FakeRuntime) -> Decimal:
    skipped = await services.consider_prefix(services.outline(chat(0)), intent="typing")
    assert skipped is None
    rates = fake.runtime.rates(chat(0).model, 1)
    assert rates is not None
    return services.outline(chat(0)).prefix_tokens * rates.cache_write_5m


class TestBreakers:
    async def test_a_prompt_that_is_warmed_in_vain_again_and_again_waits(
        self, fake: FakeRuntime, clock: FakeClock
    ) -> None:
        found = []
        for number in range(5):
            found.append((await warm(chat(0), f"user {number}")).reason)
            clock.advance(6 * MINUTE)

        assert found == [None, None, None, "breaker_open", None]

    async def test_a_read_closes_it(self, fake: FakeRuntime, clock: FakeClock) -> None:
        for number in range(9):
            assert (await warm(chat(0), f"user {number}")).reason is None
            await send(chat(0), f"user {number}")
            clock.advance(6 * MINUTE)

    async def test_a_shared_layer_that_is_held_is_no_strike(self, fake: FakeRuntime, clock: FakeClock) -> None:
        for _ in range(6):
            assert (await warm(chat(0), "", intent="keep")).reason is None
            clock.advance(6 * MINUTE)

    async def test_a_write_where_a_read_was_due_stops_the_prompt_at_once(
        self, fake: FakeRuntime, clock: FakeClock
    ) -> None:
        await warm(chat(0))
        fake.provider.evict()
        await send(chat(0))
        clock.advance(6 * MINUTE)

        assert await reasons([chat(0), chat(1)]) == ["breaker_open", None]
        clock.advance(KEY_TERMS.first_pause_seconds)
        assert await reasons([chat(0)]) == [None]

    async def test_the_third_write_where_a_read_was_due_stops_the_intent_and_no_other(self, fake: FakeRuntime) -> None:
        for number in range(3):
            await warm(chat(number), f"user {number}")
            fake.provider.evict()
            await send(chat(number), f"user {number}")

        assert (await warm(chat(7))).reason == "breaker_open"
        assert (await warm(chat(8), intent="attach")).reason is None
        assert (await warm(chat(9), label="other")).reason is None

    async def test_one_that_is_read_makes_good_for_those_that_were_not(self, fake: FakeRuntime) -> None:
        for number in range(6):
            await warm(chat(number), f"user {number}")
            if number % 2:
                fake.provider.evict()
            await send(chat(number), f"user {number}")

        assert (await warm(chat(7))).reason is None

    async def test_many_that_nobody_came_for_stop_the_intent_until_a_probe_is_read(
        self, fake: FakeRuntime, clock: FakeClock
    ) -> None:
        for number in range(LABEL_TERMS.free):
            await warm(chat(number), f"user {number}")
        clock.advance(16 * MINUTE)
        await fake.runtime.guards.note_missed()
        stopped = (await warm(chat(100), "user 100")).reason
        clock.advance(LABEL_TERMS.first_pause_seconds)
        probe, second = [(await warm(chat(n), f"user {n}")).reason for n in (101, 102)]
        await send(chat(101), "user 101")

        assert (stopped, probe, second) == ("breaker_open", None, "breaker_open")
        assert (await warm(chat(103), "user 103")).reason is None

    async def test_warm_ups_that_are_still_awaited_stop_nothing(self, fake: FakeRuntime) -> None:
        ends = await asyncio.gather(*(warm(chat(n), f"user {n}") for n in range(3 * LABEL_TERMS.free)))

        assert {end.reason for end in ends} == {None}

    async def test_a_request_that_raced_its_warm_up_is_no_defect(self, fake: FakeRuntime, clock: FakeClock) -> None:
        fake.provider.hold_warm_ups()
        attempt = await services.prewarm_prefix(chat(0), intent="typing", label="helpdesk", subject=ANN)
        await fake.provider.warm_ups_in_flight()
        async with services.stream_response(chat(0), make_turn(), max_tokens=9, subject=ANN) as response:
            events = aiter(response)
            await anext(events)
            clock.advance(1)
            fake.provider.release_warm_ups()
            assert attempt.finished is not None
            await attempt.finished()
            async for _ in events:
                pass
        clock.advance(6 * MINUTE)

        assert await reasons([chat(0)]) == [None]

    @pytest.mark.parametrize("kind", ["warm_up", "reply"])
    @pytest.mark.parametrize("code", ["rate_limited", "overloaded"])
    async def test_a_limit_that_one_process_meets_pauses_the_others(
        self, clock: FakeClock, kind: Any, code: str
    ) -> None:
        async with two_processes(clock) as (fake, elsewhere):
            fake.provider.fail(UpstreamUnavailable(code, "no", retry_after_seconds=90), kind=kind, times=9)
            if kind == "warm_up":
                await warm(chat(0))
            else:
                with pytest.raises(UpstreamUnavailable):
                    await send(chat(0))
            await pauses_told(fake)

            during = await elsewhere(lambda: reasons([chat(1)], BOB))
            clock.advance(91)
            fake.provider._troubles.clear()

            assert during == ["upstream_limited"]
            assert await elsewhere(lambda: reasons([chat(1)], BOB)) == [None]

    async def test_after_the_pause_one_tries_alone_and_the_others_follow_when_it_gets_through(
        self, fake: FakeRuntime, clock: FakeClock
    ) -> None:
        pause_seconds = fake.runtime.config.pause_after_limit_seconds
        fake.provider.fail(UpstreamUnavailable("overloaded", "no"), kind="warm_up")
        await warm(chat(0))
        await pauses_told(fake)
        clock.advance(pause_seconds)
        fake.provider.hold_warm_ups()
        probe = await services.prewarm_prefix(chat(1), intent="typing", label="helpdesk", subject=ANN)
        beside = (await warm(chat(2), BOB)).reason
        fake.provider.release_warm_ups()
        assert probe.finished is not None
        await probe.finished()

        assert beside == "upstream_limited"
        assert await reasons([chat(2), chat(3)], BOB) == [None, None]

    async def test_a_provider_that_stays_limited_is_asked_ever_more_seldom(
        self, fake: FakeRuntime, clock: FakeClock
    ) -> None:
        fake.provider.fail(UpstreamUnavailable("overloaded", "no"), times=99, kind="warm_up")
        asked_at = []
        for second in range(0, 2000, 20):
            before = fake.provider.warm_up_count
            await warm(chat(second), f"user {second}")
            await pauses_told(fake)
            if fake.provider.warm_up_count > before:
                asked_at.append(second)
            clock.advance(20)

        gaps = [later - earlier for earlier, later in zip(asked_at, asked_at[1:], strict=False)]
        assert gaps == [60, 120, 240, 480, 960]


async def pauses_told(fake: FakeRuntime) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(fake.runtime.tasks):  # noqa: ASYNC110
            await asyncio.sleep(0)


class Deaf(MemoryWarmthStore):
    """Its allowances are out of reach."""

    def make_allowances(self) -> Any:
        return self

    async def reserve(self, claims: object) -> None:
        raise StoreUnavailable("down")

    settle = expect = take_missed = reserve

    async def take_met(self, hashes: object, *, started_at: float, changes: object) -> None:
        raise StoreUnavailable("down")


async def test_what_cannot_be_counted_is_not_spent_and_the_reply_comes(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock, store=Deaf(clock=clock), has_database=False) as fake:
        found = await reasons([chat(0), chat(0)])
        await send(chat(0))

        assert found == ["store_unavailable", "store_unavailable"]
        assert (fake.provider.warm_up_count, fake.provider.reply_count) == (0, 1)


async def test_accounts_do_not_bear_the_names_of_people(fake: FakeRuntime) -> None:
    accounts = fake.runtime.guards.accounts(
        services.outline(chat(0)), intent="typing", label="secret project", subject="zoe@example.org"
    )

    assert "zoe" not in repr(accounts)
    assert "secret" not in repr(accounts)


async def test_accounts_of_different_words_never_meet(fake: FakeRuntime) -> None:
    prefix = services.outline(chat(0))
    names = [
        fake.runtime.guards.accounts(prefix, intent=intent, label=label, subject="x").label
        for intent, label in (("typing", "a"), ("attach", "a"), ("typing", "b"), ("a", "typing"))
    ]

    assert len(set(names)) == 4
