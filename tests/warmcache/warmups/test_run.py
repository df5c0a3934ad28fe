import asyncio
from dataclasses import replace

import pytest

from tests.servers import PATIENCE_SECONDS
from tests.warmcache.warmups.warming import DeadStore, hash_of, leases_of, skip_reasons, warm
from warmcache import services
from warmcache.background.database import in_database_thread
from warmcache.core.errors import PrewarmRefused, UpstreamRefused, UpstreamUnavailable
from warmcache.core.ports import Capabilities
from warmcache.core.prefix import Layer
from warmcache.models import WarmUp
from warmcache.testing import FakeClock, FakeProvider, FakeRuntime, fake_runtime, make_prompt, make_turn


async def test_fifty_conversations_on_one_cold_assistant_write_it_once(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock, has_database=False, max_concurrent_warm_ups=8) as fake:
        prompts = [make_prompt(name=f"chat {number}", turns=1) for number in range(50)]

        ends = await asyncio.gather(*(warm(prompt) for prompt in prompts))

        assert {end.state for end in ends} == {"warm"}
        assert fake.provider.writes[hash_of(prompts[0], Layer.SHARED)] == 1
        assert fake.provider.warm_up_count == 50
        assert fake.provider.most_open_warm_ups <= 8


async def test_a_conversation_and_its_draft_that_are_cold_together_do_not_wait_for_each_other(
    fake: FakeRuntime,
) -> None:
    conversation = make_prompt(turns=1)
    with_draft = make_prompt(turns=1, draft_tokens=2000)
    fake.provider.hold_warm_ups()

    # The draft comes first to the shared layer, the conversation holds the layer between the two.
    attempts = [await services.prewarm_prefix(prompt, intent="attach") for prompt in (with_draft, conversation)]
    async with asyncio.timeout(PATIENCE_SECONDS):
        await fake.provider.warm_ups_in_flight()
    fake.provider.release_warm_ups()
    async with asyncio.timeout(PATIENCE_SECONDS):
        ends = [await attempt.finished() for attempt in attempts if attempt.finished]

    assert [end.state for end in ends] == ["warm", "warm"]
    assert set(fake.provider.writes.values()) == {1}


async def test_an_assistant_below_the_minimum_does_not_make_its_conversations_queue(fake: FakeRuntime) -> None:
    fake.provider.hold_warm_ups()
    prompts = [make_prompt(system_tokens=100, name=f"chat {number}", turns=2) for number in range(3)]

    attempts = [await services.prewarm_prefix(prompt, intent="typing") for prompt in prompts]
    async with asyncio.timeout(PATIENCE_SECONDS):
        await fake.provider.warm_ups_in_flight(3)

    fake.provider.release_warm_ups()
    assert [(await attempt.finished()).state for attempt in attempts if attempt.finished] == ["warm"] * 3


async def test_when_the_leader_fails_the_next_one_in_line_writes(fake: FakeRuntime) -> None:
    fake.provider.fail(UpstreamUnavailable("server_error", "no"), kind="warm_up")
    prompts = [make_prompt(name=f"chat {number}", turns=1) for number in range(3)]

    ends = await asyncio.gather(*(warm(prompt) for prompt in prompts))

    assert sorted(end.state for end in ends) == ["failed", "warm", "warm"]
    assert fake.provider.writes[hash_of(prompts[0], Layer.SHARED)] == 1


async def test_a_failure_gives_the_lease_back_so_that_the_next_key_may_try(fake: FakeRuntime) -> None:
    fake.provider.fail(UpstreamUnavailable("server_error", "no"))

    first = await warm(make_prompt())
    second = await warm(make_prompt())

    assert (first.state, first.reason) == ("failed", "server_error")
    assert second.state == "warm"
    assert await leases_of(fake, make_prompt()) == []


@pytest.mark.parametrize(
    "error",
    [
        UpstreamUnavailable("rate_limited", "no"),
        UpstreamUnavailable("overloaded", "no"),
        UpstreamRefused("key_refused", "no"),
        UpstreamRefused("spend_limit", "no"),
    ],
    ids=lambda error: error.code,
)
async def test_a_limit_at_the_provider_pauses_all_warming(
    fake: FakeRuntime, clock: FakeClock, error: UpstreamUnavailable
) -> None:
    fake.provider.fail(error)
    await warm(make_prompt())

    paused = await warm(make_prompt(name="another", turns=1))
    clock.advance(fake.runtime.config.pause_after_limit_seconds + 1)
    later = await warm(make_prompt())

    assert (paused.state, paused.reason) == ("skipped", "upstream_limited")
    assert later.state == "warm"
    assert fake.provider.warm_up_count == 2


async def test_a_longer_retry_after_makes_a_longer_pause(fake: FakeRuntime, clock: FakeClock) -> None:
    fake.provider.fail(UpstreamUnavailable("rate_limited", "no", retry_after_seconds=500))
    await warm(make_prompt())

    clock.advance(400)

    assert (await warm(make_prompt())).reason == "upstream_limited"


async def test_counters_of_zero_stop_warming_until_the_prefix_grows(fake: FakeRuntime, clock: FakeClock) -> None:
    fake.provider.reports_nothing = True
    first = await warm(make_prompt(turns=1))
    again = await warm(make_prompt(turns=1))
    fake.provider.reports_nothing = False
    grown = await warm(make_prompt(turns=2))

    assert (first.state, first.reason) == ("skipped", "not_cacheable")
    assert again.reason == "not_cacheable"
    assert grown.state == "warm"
    assert fake.provider.warm_up_count == 2


async def test_where_counters_mean_nothing_zeros_count_as_warm(clock: FakeClock) -> None:
    provider = FakeProvider(clock=clock, capabilities=Capabilities(upstream="local", reports_cache_writes=False))
    provider.reports_nothing = True
    async with fake_runtime(clock=clock, provider=provider, has_database=False, upstream="local"):
        warmth = await warm(make_prompt())

    assert warmth.state == "warm"


async def test_no_more_warm_ups_are_at_the_provider_than_allowed(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock, has_database=False, max_concurrent_warm_ups=2) as fake:
        fake.provider.hold_warm_ups()
        prompts = [make_prompt(system=({"type": "text", "text": f"{number} " * 4000},)) for number in range(6)]
        attempts = [await services.prewarm_prefix(prompt, intent="typing") for prompt in prompts]
        await fake.provider.warm_ups_in_flight(2)
        fake.provider.release_warm_ups()

        ends = [await attempt.finished() for attempt in attempts if attempt.finished]

        assert [end.state for end in ends] == ["warm"] * 6
        assert fake.provider.most_open_warm_ups == 2


async def test_a_warm_up_that_waits_too_long_for_its_turn_is_not_sent(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock, has_database=False, max_concurrent_warm_ups=1) as fake:
        fake.provider.hold_warm_ups()
        leader = await services.prewarm_prefix(make_prompt(), intent="typing")
        await fake.provider.warm_ups_in_flight()
        patient = fake.runtime.config

        fake.runtime.config = replace(patient, warm_up_patience_seconds=0.01)
        warmth = await warm(make_prompt(system_tokens=3000))
        fake.runtime.config = patient
        fake.provider.release_warm_ups()

        assert (warmth.state, warmth.reason) == ("skipped", "busy")
        assert skip_reasons(fake) == {"busy"}
        assert (await leader.finished()).state == "warm"
        assert (await warm(make_prompt(system_tokens=3000))).state == "warm"


async def test_a_warm_up_that_a_request_has_overtaken_is_not_sent(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock, has_database=False, max_concurrent_warm_ups=1) as fake:
        fake.provider.hold_warm_ups()
        await services.prewarm_prefix(make_prompt(name="first", turns=1, system_tokens=0), intent="typing")
        await fake.provider.warm_ups_in_flight()
        prompt = make_prompt(name="second", turns=1, system_tokens=0)
        waiting = await services.prewarm_prefix(prompt, intent="typing", subject="ann")
        async with services.stream_response(prompt, make_turn(), max_tokens=9) as response:
            [event async for event in response]

        fake.provider.release_warm_ups()
        assert waiting.finished is not None
        end = await waiting.finished()

        assert (end.state, fake.provider.warm_up_count) == ("warm", 1)
        assert "already_warm" in skip_reasons(fake)
        assert await leases_of(fake, prompt) == []


async def test_a_bug_in_a_provider_frees_the_prefix_and_the_slot(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with fake_runtime(clock=clock, has_database=False, max_concurrent_warm_ups=1) as fake:
        fake.provider.fail(ZeroDivisionError())  # type: ignore[arg-type]

        with pytest.raises(ZeroDivisionError):
            await warm(make_prompt())

        assert (await warm(make_prompt())).state == "warm"


async def test_warmth_counts_from_the_start_of_the_call_not_from_its_end(fake: FakeRuntime, clock: FakeClock) -> None:
    fake.provider.hold_warm_ups()
    started_at = clock.now()
    attempt = await services.prewarm_prefix(make_prompt(), intent="typing")
    await fake.provider.warm_ups_in_flight()
    clock.advance(20)
    fake.provider.release_warm_ups()

    assert attempt.finished is not None
    assert (await attempt.finished()).expires_at == started_at + 300
    assert (await services.warmth_of(attempt.prefix)).expires_at == started_at + 300


@pytest.mark.parametrize("method", ["claim", "begin", "release", "record_warm", "record_uncacheable"])
async def test_a_store_that_dies_midway_neither_raises_nor_blocks(
    clock: FakeClock, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    class DyingStore(DeadStore):
        dies_with = {method}

    async with fake_runtime(clock=clock, store=DyingStore(clock=clock), has_database=False) as fake:
        fake.provider.reports_nothing = method == "record_uncacheable"

        warmth = await warm(make_prompt(turns=1))

        assert warmth.state in ("warm", "skipped")
        assert len(fake.runtime.tasks) == 0


@pytest.mark.django_db(transaction=True)
async def test_what_was_billed_is_known_even_if_the_process_ends_while_the_guards_are_told(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock) as fake:
        is_telling = asyncio.Event()

        async def tell(*_: object, **__: object) -> None:
            is_telling.set()
            await asyncio.Event().wait()

        fake.runtime.guards.settle = tell  # type: ignore[method-assign]
        await services.prewarm_prefix(make_prompt(), intent="typing")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await is_telling.wait()

    row = await in_database_thread(WarmUp.objects.get)
    assert row.cost_usd is not None and row.cost_usd > 0
    assert row.cache_write_tokens > 0


async def test_an_endpoint_that_refuses_warm_ups_is_asked_once_a_day_per_model(
    fake: FakeRuntime, clock: FakeClock
) -> None:
    refused = PrewarmRefused("request_refused", "max_tokens: Input should be greater than or equal to 1")
    fake.provider.fail(refused, kind="warm_up", times=2)

    first = await warm(make_prompt())
    visits = [await warm(make_prompt(name=f"visit {number}", turns=1)) for number in range(5)]
    calls = fake.provider.warm_up_count
    other_model = await warm(make_prompt(model="claude-haiku-5-5", system_tokens=9000))
    clock.advance(86_401)
    a_day_later = await warm(make_prompt())

    assert {(warmth.state, warmth.reason) for warmth in (first, *visits)} == {("skipped", "endpoint_without_prewarm")}
    assert calls == 1
    assert other_model.reason == "endpoint_without_prewarm", "each model is asked for itself"
    assert fake.provider.warm_up_count == 3
    assert a_day_later.state == "warm"
    assert "endpoint_without_prewarm" in skip_reasons(fake)


@pytest.mark.django_db(transaction=True)
async def test_the_row_of_the_one_refused_warm_up_says_why(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock) as fake:
        fake.provider.fail(PrewarmRefused("request_refused", "max_tokens must be positive"), kind="warm_up")
        await warm(make_prompt())

    row = await in_database_thread(WarmUp.objects.get)
    assert (row.outcome, row.error_code) == ("failed", "endpoint_without_prewarm")
