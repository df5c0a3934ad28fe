"""What one real request costs in statements, hops, connections and round trips, on a real database and a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError, transaction

from tests.counting import Counts, counted
from tests.servers import PATIENCE_SECONDS
from tests.servers.redis_server import RedisServer
from warmcache import services
from warmcache.background.database import in_database_thread
from warmcache.core.guards import Pay
from warmcache.core.moments import at
from warmcache.core.prefix import Prompt, Turn
from warmcache.ledger import writer as ledgers
from warmcache.ledger.silences import Silence
from warmcache.models import SkipCount, UsageRecord, WarmUpLine
from warmcache.services import Result
from warmcache.stores.redis import RedisWarmthStore
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime, make_prompt, make_turn

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = 3600.0
WORDS = {"label": "guide", "subject": "ann", "place": "7"}


@pytest.fixture
async def fake(
    clock: FakeClock, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FakeRuntime]:
    """Nothing runs beside the request that is counted: the operator's policy is read once."""
    monkeypatch.setattr("warmcache.operator_policy.REFRESH_SECONDS", HOUR)
    store = RedisWarmthStore(clock=clock, url=redis_server.url)
    async with fake_runtime(clock=clock, store=store, value_of_second_usd=Decimal(100)) as fakes:
        await fakes.runtime.policy.known()
        yield fakes


async def send(prompt: Prompt, **options: Any) -> services.ResponseStream:
    response = services.stream_response(prompt, make_turn(), max_tokens=100, **{**WORDS, **options})
    await response.expected_warmth()
    async with response:
        [event async for event in response]
    return response


async def warm(prompt: Prompt, **options: Any) -> None:
    attempt = await services.prewarm_prefix(prompt, intent="typing", **{**WORDS, **options})
    assert attempt.finished is not None
    await attempt.finished()
    await services.flush()


def following(prompt: Prompt) -> Prompt:
    """The prompt after the reply to it."""
    said = (Turn(role="user", blocks=make_turn()), Turn(role="assistant", blocks=make_turn("So.")))
    return replace(prompt, history=(*prompt.history, *said))


async def in_use(fake: FakeRuntime) -> None:
    """Connections are open and scripts are known, as in a process that has served somebody."""
    await send(make_prompt(turns=1))
    await fake.runtime.store.make_allowances().settle([Pay(account="somebody")])
    await services.flush()


async def cost_of(prompt: Prompt, **options: Any) -> tuple[services.ResponseStream, Counts]:
    with counted() as counts:
        response = await send(prompt, **options)
    return response, counts


def warmth(response: services.ResponseStream) -> str:
    return response.result.settlement.warmth


async def test_a_warm_follow_up_costs_one_look_up_before_its_call_and_three_statements_after_it(
    fake: FakeRuntime, clock: FakeClock
) -> None:
    await in_use(fake)
    clock.advance(10)

    response, counts = await cost_of(following(make_prompt(turns=1)))

    assert warmth(response) == "hit"
    assert response.result.settlement.silence == Silence(seconds=10, asked_tool=False)
    assert response.result.settlement.arrival_seconds == 10
    assert (len(counts.statements), counts.hops, counts.new_connections) == (3, 1, 0), counts.statements
    assert len(counts.round_trips) == 3
    assert counts.round_trips[0] == "MGET"


async def test_before_the_call_one_look_tells_what_to_expect_whether_to_wait_and_what_to_lead(
    fake: FakeRuntime,
) -> None:
    await in_use(fake)
    fake.provider.hold_replies()

    with counted() as counts:
        sending = asyncio.create_task(send(following(make_prompt(turns=1))))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while fake.provider.reply_count < 2:  # noqa: ASYNC110 - the provider sets no event
                await asyncio.sleep(0)
        before = list(counts.round_trips), list(counts.statements), counts.hops
        fake.provider.release_replies()
        await sending

    assert before == (["MGET"], [], 0)


async def test_the_first_request_of_a_place_asks_once_more_when_the_last_one_came(fake: FakeRuntime) -> None:
    await in_use(fake)

    _, counts = await cost_of(make_prompt(name="other", turns=1), subject="bob", place="8")

    assert (len(counts.statements), counts.hops) == (4, 1), counts.statements


async def test_settling_a_warm_up_costs_four_statements_more(fake: FakeRuntime, clock: FakeClock) -> None:
    await in_use(fake)
    prompt = make_prompt(name="warmed", turns=2)
    await warm(prompt)
    clock.advance(5)

    response, counts = await cost_of(prompt)

    assert response.result.settlement.warm_up_id is not None
    assert len(counts.about("warmcache_warmup")) == 5, counts.statements
    assert (len(counts.statements), counts.hops, counts.new_connections) == (8, 1, 0)  # the first of its place
    assert len(counts.round_trips) == 4
    assert await in_database_thread(WarmUpLine.objects.filter(outcome="hit", request=response.id).count) == 2


async def test_many_warm_ups_of_one_layer_are_settled_by_as_few(fake: FakeRuntime, clock: FakeClock) -> None:
    for number in range(12):
        await warm(make_prompt(name=f"chat {number}", turns=1), subject=f"user {number}", place=f"{number}")

    response, counts = await cost_of(make_prompt(name="chat 3", turns=1), subject="user 3", place="3")

    assert len(counts.statements) == 8, counts.statements
    settled = await in_database_thread(WarmUpLine.objects.filter(request=response.id, outcome="hit").count)
    assert settled == 13


async def test_a_warm_up_of_its_own_costs_two_statements_before_its_call_and_three_after_it(fake: FakeRuntime) -> None:
    await in_use(fake)
    # The first one of a person's day reads what the ledger knows of that day.
    first = await services.prewarm_prefix(make_prompt(name="first", turns=1), intent="typing", **WORDS)
    assert first.finished is not None
    await first.finished()

    with counted() as counts:
        attempt = await services.prewarm_prefix(make_prompt(name="new", turns=1), intent="typing", **WORDS)
        assert attempt.finished is not None
        await attempt.finished()

    of_rows = counts.about("warmcache_warmup")
    assert [sql.split()[0] for sql in of_rows] == ["INSERT", "INSERT", "UPDATE", "SELECT", "UPDATE"]
    assert len(counts.statements) == len(of_rows)


class TestHostsEnding:
    """What the host writes at the end, in the same hop."""

    async def test_it_is_run_with_the_settled_result_in_the_same_hop(self, fake: FakeRuntime) -> None:
        await warm(make_prompt(turns=1))
        told: list[Result] = []

        response, counts = await cost_of(make_prompt(turns=1), ending=writes(told))

        assert response.result.ending_was_run
        assert [result.settlement for result in told] == [response.result.settlement]
        assert told[0].settlement.warm_up_id is not None
        assert (counts.hops, await skips()) == (1, 1)

    async def test_it_stands_or_falls_with_the_requests_row(self, fake: FakeRuntime) -> None:
        seen: list[tuple[bool, int]] = []

        def look(result: Result) -> None:
            seen.append((transaction.get_connection().in_atomic_block, UsageRecord.objects.count()))

        await send(make_prompt(), ending=look)

        assert seen == [(True, 1)]

    async def test_one_that_fails_costs_the_host_its_own_write_and_nothing_else(
        self, fake: FakeRuntime, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(result: Result) -> None:
            writes([])(result)
            raise ValueError("a mistake of the host")

        response, _ = await cost_of(make_prompt(), ending=fail)

        assert not response.result.ending_was_run
        assert (await skips(), await in_database_thread(UsageRecord.objects.count)) == (0, 1)
        assert "a mistake of the host" in caplog.text

    async def test_a_database_that_is_away_leaves_it_to_the_host_and_writes_the_row_later(
        self, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ledgers, "FIRST_BACKOFF_SECONDS", 0.01)
        told: list[Result] = []

        def end(result: Result) -> None:
            told.append(result)
            if len(told) == 1:
                raise OperationalError("away")

        response, _ = await cost_of(make_prompt(), ending=end)
        await fake.runtime.ledger.drain()

        assert not response.result.ending_was_run
        assert (len(told), await in_database_thread(UsageRecord.objects.count)) == (1, 1)

    async def test_without_a_call_it_is_left_to_the_host(self, fake: FakeRuntime) -> None:
        told: list[Result] = []

        async with services.stream_response(make_prompt(), make_turn(), max_tokens=9, ending=writes(told)) as response:
            pass

        assert not response.result.ending_was_run
        assert told == []


def writes(told: list[Result]) -> Callable[[Result], None]:
    def end(result: Result) -> None:
        told.append(result)
        SkipCount.objects.create(minute=at(0), intent="open", reason="the host's own row")

    return end


async def skips() -> int:
    return await in_database_thread(SkipCount.objects.filter(reason="the host's own row").count)
