"""Real requests as leaders: who needs the same cold layer at the same time pays for one write of it."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from tests.servers import PATIENCE_SECONDS
from warmcache import Purpose, services
from warmcache.background.database import in_database_thread
from warmcache.core.errors import StoreUnavailable, UpstreamUnavailable
from warmcache.core.origin import Origin
from warmcache.core.ports import StreamBegan
from warmcache.core.prefix import Layer, Prompt
from warmcache.models import UsageRecord, WarmUp
from warmcache.requests.stream import ResponseStream
from warmcache.stores.memory import MemoryWarmthStore
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime, make_prompt, make_turn

CHEAP_SECOND_USD = Decimal("0.002")
"""So that a second write of a short prompt costs more than the wait for the first."""

PATIENT = {"join_bound_factor": 100.0, "value_of_second_usd": CHEAP_SECOND_USD}
"""A bound by the real clock that no slow machine reaches."""


class CountingStore(MemoryWarmthStore):
    """Notes which methods were called."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name in ("look_up", "claim", "begin", "release", "renew", "wait_until_released", "record_warm"):
            object.__getattribute__(self, "calls").append(name)
        return super().__getattribute__(name)


@pytest.fixture
def store(clock: FakeClock) -> CountingStore:
    return CountingStore(clock=clock)


@pytest.fixture
async def fake(clock: FakeClock, store: CountingStore) -> AsyncIterator[FakeRuntime]:
    async with fake_runtime(clock=clock, store=store, has_database=False, **PATIENT) as fakes:
        yield fakes


def request(fake: FakeRuntime, prompt: Prompt | None = None) -> ResponseStream:
    return ResponseStream(
        fake.runtime,
        prompt or make_prompt(),
        make_turn(),
        max_tokens=100,
        purpose=Purpose.REPLY,
        origin=Origin(label="", subject="", upstream="simulator"),
        jitter=lambda: 0.0,
    )


async def read(response: ResponseStream) -> ResponseStream:
    async with response:
        [event async for event in response]
    return response


def warmth(response: ResponseStream) -> str:
    return response.result.settlement.warmth


def hash_of(prompt: Prompt, layer: Layer) -> str:
    return next(point.prefix_hash for point in services.outline(prompt).breakpoints if point.layer is layer)


async def leases_of(fake: FakeRuntime, prompt: Prompt) -> dict[str, str | None]:
    seen = await fake.runtime.store.look_up(services.outline(prompt).hashes)
    return {name: sighting.lease_owner for name, sighting in seen.items() if sighting.lease_owner}


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - the other task sets no event
            await asyncio.sleep(0)


async def settle() -> None:
    """Lets every task go as far as it can."""
    for _ in range(30):
        await asyncio.sleep(0)


async def start_request(fake: FakeRuntime, prompt: Prompt | None = None) -> "asyncio.Task[ResponseStream]":
    fake.provider.hold_replies()
    before = fake.provider.reply_count
    reading = asyncio.create_task(read(request(fake, prompt)))
    await until(lambda: fake.provider.reply_count > before)
    return reading


async def test_a_hundred_people_who_send_at_once_to_a_cold_assistant_pay_for_one_write(fake: FakeRuntime) -> None:
    fake.provider.hold_replies()
    prompts = [make_prompt(name=f"chat {number}", turns=1) for number in range(100)]
    reading = [asyncio.create_task(read(request(fake, prompt))) for prompt in prompts]
    await settle()
    at_the_provider = fake.provider.reply_count

    fake.provider.release_replies()
    responses = await asyncio.gather(*reading)

    assert at_the_provider == 1
    assert fake.provider.writes[hash_of(prompts[0], Layer.SHARED)] == 1
    assert sorted(map(warmth, responses)) == ["cold"] + ["joined"] * 99
    assert len(fake.runtime.leases) == 0


async def test_those_who_follow_go_at_the_leader_s_first_event_not_at_its_end(fake: FakeRuntime) -> None:
    leader = request(fake)
    async with leader:
        async for event in leader:
            if isinstance(event, StreamBegan):
                follower = await read(request(fake, make_prompt(turns=1)))
                break

    assert fake.provider.writes[hash_of(make_prompt(), Layer.SHARED)] == 1
    assert follower.result is not None
    assert follower.result.usage is not None
    assert follower.result.usage.cache_read_tokens >= 4000


async def test_a_warm_up_that_meets_a_request_does_not_write_what_it_writes(fake: FakeRuntime) -> None:
    leading = await start_request(fake)

    attempt = await services.prewarm_prefix(make_prompt(), intent="typing")
    fake.provider.release_replies()
    await leading

    assert (attempt.decision.reason, attempt.warmth.state) == ("in_flight", "warming")
    assert attempt.finished is not None
    assert (await attempt.finished()).state == "warm"
    assert fake.provider.warm_up_count == 0


async def test_a_warm_up_of_another_conversation_waits_for_the_layer_that_a_request_writes(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock, has_database=False) as fake:
        leading = await start_request(fake)
        prompt = make_prompt(name="bob", turns=2)

        attempt = await services.prewarm_prefix(prompt, intent="typing")
        await settle()
        warm_ups_meanwhile = fake.provider.warm_up_count
        fake.provider.release_replies()
        await leading

        assert attempt.finished is not None
        assert (await attempt.finished()).state == "warm"
        assert (warm_ups_meanwhile, fake.provider.warm_up_count) == (0, 1)
        assert fake.provider.writes[hash_of(prompt, Layer.SHARED)] == 1


async def start_followers(fake: FakeRuntime) -> "list[asyncio.Task[ResponseStream]]":
    prompts = [make_prompt(name=f"chat {number}", turns=1) for number in range(5)]
    return [asyncio.create_task(read(request(fake, prompt))) for prompt in prompts]


async def require_all_go(fake: FakeRuntime, followers: "list[asyncio.Task[ResponseStream]]") -> None:
    await until(lambda: fake.provider.reply_count == 1 + len(followers))
    fake.provider.release_replies()
    responses = await asyncio.gather(*followers)
    assert {response.result.status for response in responses if response.result} == {"complete"}
    assert set(map(warmth, responses)) == {"cold"}
    assert len(fake.runtime.leases) == 0


async def test_when_the_leader_is_cancelled_all_go(fake: FakeRuntime) -> None:
    leading = await start_request(fake)
    followers = await start_followers(fake)
    await settle()
    at_the_provider = fake.provider.reply_count

    leading.cancel()

    await require_all_go(fake, followers)
    assert at_the_provider == 1


async def test_when_the_leader_fails_all_go(fake: FakeRuntime, clock: FakeClock) -> None:
    class Refusing(type(fake.provider)):  # type: ignore[misc]
        """Its first call fails when the test says so."""

        has_refused = asyncio.Event()

        async def _events(self, number: int, trouble: Any) -> Any:
            if number == 0:
                await self.has_refused.wait()
                raise UpstreamUnavailable("rate_limited", "no", retry_after_seconds=999)
            async for event in super()._events(number, trouble):
                yield event

    fake.provider.__class__ = Refusing
    leading = await start_request(fake)
    followers = await start_followers(fake)
    await settle()
    at_the_provider = fake.provider.reply_count

    Refusing.has_refused.set()

    await require_all_go(fake, followers)
    assert at_the_provider == 1
    with pytest.raises(UpstreamUnavailable):
        await leading


async def test_a_leader_that_stalls_holds_nobody_beyond_the_bound(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock, has_database=False, value_of_second_usd=CHEAP_SECOND_USD) as fake:
        fake.provider.stall(kind="reply")
        stalled = asyncio.create_task(read(request(fake)))
        await until(lambda: fake.provider.reply_count == 1)

        async with asyncio.timeout(PATIENCE_SECONDS):
            response = await read(request(fake, make_prompt(turns=1)))

        assert (response.result.status, warmth(response)) == ("complete", "cold")
        stalled.cancel()
        await asyncio.gather(stalled, return_exceptions=True)


async def test_a_warm_request_costs_the_store_what_it_cost_before(fake: FakeRuntime, store: CountingStore) -> None:
    await read(request(fake))
    store.calls.clear()

    response = await read(request(fake))

    assert warmth(response) == "hit"
    assert store.calls == ["look_up", "record_warm"]


async def test_a_short_addition_to_a_warm_prefix_is_led_by_nobody(fake: FakeRuntime, store: CountingStore) -> None:
    await read(request(fake, make_prompt(turns=0)))
    store.calls.clear()

    await read(request(fake, make_prompt(draft_tokens=300)))

    assert "claim" not in store.calls


async def test_a_request_leads_with_its_call_already_under_way(fake: FakeRuntime, clock: FakeClock) -> None:
    prompt = make_prompt(turns=2)
    leading = await start_request(fake, prompt)

    seen = await fake.runtime.store.look_up(services.outline(prompt).hashes)
    fake.provider.release_replies()
    response = await leading

    held = {name: (sighting.lease_owner, sighting.called_at) for name, sighting in seen.items()}
    owner = (f"request {response.id}", clock.now())
    assert held == {hash_of(prompt, Layer.SHARED): owner, hash_of(prompt, Layer.CONVERSATION): owner}
    assert await leases_of(fake, prompt) == {}


async def test_what_cannot_be_cached_is_led_by_nobody(fake: FakeRuntime) -> None:
    await fake.runtime.store.record_uncacheable(hash_of(make_prompt(), Layer.SHARED), ttl_seconds=60)

    leading = await start_request(fake)
    held = await leases_of(fake, make_prompt())
    fake.provider.release_replies()
    await leading

    assert held == {}


async def test_a_request_that_meets_a_warm_up_in_a_queue_goes_at_once(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock, has_database=False, max_concurrent_warm_ups=1) as fake:
        fake.provider.hold_warm_ups()
        await services.prewarm_prefix(make_prompt(system_tokens=6000), intent="typing")
        await fake.provider.warm_ups_in_flight()
        queued = make_prompt()
        await services.prewarm_prefix(queued, intent="typing")
        await settle()

        async with asyncio.timeout(PATIENCE_SECONDS):
            response = await read(request(fake, queued))

        assert response.result.status == "complete"
        fake.provider.release_warm_ups()


@pytest.mark.parametrize("method", ["look_up", "claim", "release", "wait_until_released"])
async def test_a_store_that_dies_never_makes_a_request_wait(clock: FakeClock, method: str) -> None:
    class Dying(MemoryWarmthStore):
        async def _refuse(self, *_: object, **__: object) -> None:
            raise StoreUnavailable("down")

        def __getattribute__(self, name: str) -> Any:
            return super().__getattribute__("_refuse" if name == method else name)

    async with fake_runtime(clock=clock, store=Dying(clock=clock), has_database=False, join_bound_factor=0.9) as fake:
        fake.provider.hold_replies()
        reading = [asyncio.create_task(read(request(fake, make_prompt(name=f"{n}", turns=1)))) for n in range(3)]
        await settle()
        fake.provider.release_replies()

        async with asyncio.timeout(PATIENCE_SECONDS):
            responses = await asyncio.gather(*reading)

        assert {response.result.status for response in responses if response.result} == {"complete"}


async def test_what_it_will_meet_behind_a_request_is_said_before_the_call(fake: FakeRuntime) -> None:
    leading = await start_request(fake)

    said = await request(fake, make_prompt(turns=1)).expected_warmth()
    fake.provider.release_replies()
    await leading

    assert said == "joined"


class TestLedger:
    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.fixture
    async def fake(self, clock: FakeClock, transactional_db: None) -> AsyncIterator[FakeRuntime]:
        async with fake_runtime(clock=clock, join_bound_factor=100.0) as fakes:
            yield fakes

    async def test_a_request_that_followed_a_request_is_joined_and_points_at_no_warm_up(
        self, fake: FakeRuntime, clock: FakeClock
    ) -> None:
        leading = await start_request(fake)
        clock.advance(2)
        following = asyncio.create_task(read(request(fake, make_prompt(turns=1))))
        await settle()
        fake.provider.release_replies()
        await asyncio.gather(leading, following)
        await services.flush()

        rows = await in_database_thread(lambda: list(UsageRecord.objects.order_by("started_at")))

        assert [(row.warmth, row.warm_up_id) for row in rows] == [("cold", None), ("joined", None)]
        assert await in_database_thread(WarmUp.objects.count) == 0

    async def test_a_warm_up_that_failed_under_the_one_who_waited_was_not_joined(
        self, fake: FakeRuntime, clock: FakeClock
    ) -> None:
        await read(request(fake))
        fake.provider.hold_warm_ups()
        prompt = make_prompt(turns=3)
        await services.prewarm_prefix(prompt, intent="typing")
        await fake.provider.warm_ups_in_flight()
        clock.advance(1)
        following = asyncio.create_task(read(request(fake, prompt)))
        await until(lambda: len(fake.runtime.tasks) == 1)
        await settle()
        waited = not following.done()

        next(iter(fake.runtime.tasks._tasks)).cancel()
        response = await following

        assert waited
        assert response.result.usage is not None
        assert response.result.usage.cache_read_tokens > response.result.usage.cache_write_tokens
        assert response.result.settlement.warmth == "hit"
        assert response.result.settlement.warm_up_id is None
