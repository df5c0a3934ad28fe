"""What the ledger's rows say of a warm-up and of the request after it, in a real database."""

import asyncio
import functools
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError, connection

from tests.servers import PATIENCE_SECONDS
from warmcache import Purpose, RequestStatus, services
from warmcache.background.database import in_database_thread
from warmcache.core.economics import request_cost_usd
from warmcache.core.errors import StreamBroken, UpstreamUnavailable
from warmcache.core.moments import at
from warmcache.core.origin import Origin
from warmcache.core.ports import BlockDelta
from warmcache.core.prefix import Prompt
from warmcache.core.usage import Usage
from warmcache.ledger import rows as records
from warmcache.ledger import writer as ledgers
from warmcache.ledger.rows import RequestFacts
from warmcache.models import Outcome, SkipCount, UsageRecord, WarmUp, WarmUpLine
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime, make_prefix, make_prompt, make_turn
from warmcache.upstream.prices import rates_for

pytestmark = pytest.mark.django_db(transaction=True)

DEAR = Decimal(100)
"""A second is worth so much that the rule always says warm."""
RATES = rates_for("claude-sonnet-5-5", 5000)


@pytest.fixture
async def fake(clock: FakeClock) -> AsyncIterator[FakeRuntime]:
    async with fake_runtime(clock=clock, value_of_second_usd=DEAR, join_bound_factor=100.0) as fakes:
        yield fakes


async def warm(prompt: Prompt | None = None, **options: Any) -> services.Attempt:
    attempt = await services.prewarm_prefix(prompt or make_prompt(), intent="typing", **options)
    if attempt.finished:
        await attempt.finished()
    return attempt


async def send(prompt: Prompt | None = None, **options: Any) -> services.ResponseStream:
    response = services.stream_response(prompt or make_prompt(), make_turn(), max_tokens=100, **options)
    async with response:
        [event async for event in response]
    return response


async def rows(model: type[Any] = WarmUp) -> list[Any]:
    await services.flush()
    return await in_database_thread(lambda: list(model.objects.order_by("started_at", "id")))


async def lines_of(row: WarmUp) -> list[WarmUpLine]:
    return await in_database_thread(lambda: list(row.lines.order_by("position")))


async def outcomes_of(row: WarmUp) -> list[tuple[str, str]]:
    return [(line.layer, line.outcome) for line in await lines_of(row)]


async def only_warm_up() -> WarmUp:
    (row,) = await rows()
    return row


async def test_a_warm_up_is_a_row_with_all_that_is_known_of_it(fake: FakeRuntime, clock: FakeClock) -> None:
    await warm(make_prompt(turns=1, shared_ttl="1h"), label="helpdesk", subject="user 7")

    row = await only_warm_up()

    usage = fake.provider.sent[0].usage
    assert usage is not None
    rates = rates_for(row.model, usage.total_input_tokens)
    assert rates is not None
    assert (row.intent, row.reason, row.label, row.subject) == ("typing", "cold", "helpdesk", "user 7")
    assert (row.model, row.upstream, row.outcome) == ("claude-sonnet-5-5", "simulator", Outcome.PENDING)
    assert (row.cache_write_tokens, row.cache_write_1h_tokens) == (
        usage.cache_write_tokens,
        usage.cache_write_1h_tokens,
    )
    assert row.cost_usd == request_cost_usd(usage, rates).quantize(Decimal("1e-8"))
    assert row.price_version == rates.version
    assert row.estimated_expires_at == at(clock.now() + 300)
    assert row.response_id == "msg_0"


async def test_each_layer_that_it_wrote_is_a_line_with_its_part_of_the_bill(
    fake: FakeRuntime, clock: FakeClock
) -> None:
    await warm(make_prompt(turns=1, shared_ttl="1h"))

    row = await only_warm_up()
    shared, conversation = await lines_of(row)

    assert [(line.layer, line.ttl_seconds, line.outcome) for line in (shared, conversation)] == [
        ("shared", 3600, ""),
        ("conversation", 300, ""),
    ]
    assert (shared.written_tokens, shared.read_tokens) == (row.cache_write_1h_tokens, 0)
    assert shared.written_tokens + conversation.written_tokens == row.cache_write_tokens
    assert shared.cost_usd + conversation.cost_usd == row.cost_usd
    assert (shared.estimated_expires_at, conversation.estimated_expires_at) == (
        at(clock.now() + 3600),
        at(clock.now() + 300),
    )
    assert conversation.prefix_hash == row.prefix_hash


async def test_a_layer_that_was_only_renewed_wrote_nothing_and_lends_no_credit(fake: FakeRuntime) -> None:
    await warm(make_prompt(name="ann", turns=1))
    await warm(make_prompt(name="bob", turns=1))
    await send(make_prompt(name="cem", turns=1))

    first, second = sorted(await rows(), key=lambda row: row.cache_read_tokens)

    assert [(line.written_tokens > 0, line.read_tokens > 0) for line in await lines_of(second)] == [
        (False, True),
        (True, False),
    ]
    assert [line.credited_tokens > 0 for line in await lines_of(first)] == [True, False]
    assert [line.credited_tokens for line in await lines_of(second)] == [0, 0]
    assert await outcomes_of(second) == [("shared", "hit"), ("conversation", "")]
    assert (first.outcome, second.outcome) == ("hit", "")


async def test_a_request_that_reads_it_makes_it_a_hit(fake: FakeRuntime, clock: FakeClock) -> None:
    await warm()
    clock.advance(10)
    response = await send(label="helpdesk", purpose="reply")

    row = await only_warm_up()
    (record,) = await rows(UsageRecord)

    assert (row.outcome, row.settled_at) == ("hit", at(clock.now()))
    assert response.result is not None
    assert (response.result.settlement.warmth, response.result.settlement.warm_up_id) == ("hit", row.pk)
    assert (record.pk, record.warmth, record.warm_up_id, record.status) == (response.id, "hit", row.pk, "complete")
    assert record.cache_read_tokens == row.cache_write_tokens
    assert record.cost_usd == response.result.settlement.cost_usd.quantize(Decimal("1e-8"))  # type: ignore[union-attr]
    assert (record.label, record.purpose, record.request_id) == ("helpdesk", "reply", "req_1")


async def test_a_second_request_settles_nothing_again_and_is_no_less_a_hit(fake: FakeRuntime, clock: FakeClock) -> None:
    await warm()
    await send()
    settled_at = (await only_warm_up()).settled_at
    clock.advance(30)

    second = await send()

    row = await only_warm_up()
    assert (row.outcome, row.settled_at) == ("hit", settled_at)
    assert second.result is not None
    assert (second.result.settlement.warmth, second.result.settlement.warm_up_id) == ("hit", row.pk)
    assert len(await rows(UsageRecord)) == 2


async def test_a_request_that_waited_for_it_makes_it_joined(fake: FakeRuntime, clock: FakeClock) -> None:
    fake.provider.hold_warm_ups()
    prompt = make_prompt(system_tokens=60_000)
    await services.prewarm_prefix(prompt, intent="typing")
    await fake.provider.warm_ups_in_flight()
    clock.advance(1.5)
    sending = asyncio.create_task(send(prompt))
    for _ in range(30):  # as far as it can go
        await asyncio.sleep(0)
    clock.advance(2)
    fake.provider.release_warm_ups()
    response = await sending

    row = await only_warm_up()

    assert (row.outcome, row.waited_ms) == ("joined", 2000)
    assert response.result is not None
    assert response.result.settlement.warm_up_id == row.pk


async def test_a_clock_that_is_set_back_costs_no_row(fake: FakeRuntime, clock: FakeClock) -> None:
    fake.provider.hold_warm_ups()
    attempt = await services.prewarm_prefix(make_prompt(), intent="typing")
    await fake.provider.warm_ups_in_flight()
    clock.advance(-60)
    fake.provider.release_warm_ups()
    assert attempt.finished is not None
    await attempt.finished()
    async with services.stream_response(make_prompt(), make_turn(), max_tokens=100) as response:
        async for _ in response:
            clock.advance(-1)

    assert [row.duration_ms for row in await rows()] == [0]
    assert [(row.duration_ms, row.ttft_ms) for row in await rows(UsageRecord)] == [(0, 0)]


async def test_a_request_that_went_before_it_was_done_makes_it_raced(fake: FakeRuntime, clock: FakeClock) -> None:
    fake.provider.hold_warm_ups()
    attempt = await services.prewarm_prefix(make_prompt(), intent="typing")
    await fake.provider.warm_ups_in_flight()
    response = await send()
    clock.advance(3)
    fake.provider.release_warm_ups()
    assert attempt.finished is not None
    await attempt.finished()

    row = await only_warm_up()

    assert row.outcome == "raced"
    assert row.cache_write_tokens > 0
    assert response.result is not None
    assert (response.result.settlement.warmth, response.result.settlement.warm_up_id) == ("raced", row.pk)


async def test_a_warm_up_of_another_process_that_was_still_under_way_was_raced_not_evicted(clock: FakeClock) -> None:
    warm_up = facts_of_warm_up()

    def write() -> records.Settlement:
        records.insert_warm_up(warm_up)
        usage = Usage(cache_write_tokens=4000)
        records.finish_warm_up(warm_up, usage=usage, rates=None, duration_ms=3000, request_id="r")
        cold = Usage(input_tokens=4000)
        return records.record_request(
            facts_of(warm_up.prefix, warm_up.origin, started_at=102.0, found=cold, usage=cold)
        )

    settlement = await in_database_thread(write)

    assert (await only_of(warm_up.id)).outcome == "raced"
    assert (settlement.warmth, settlement.warm_up_id) == ("cold", warm_up.id)


def facts_of(prefix: Any, origin: Origin, **changes: Any) -> RequestFacts:
    facts = RequestFacts(
        id=uuid4(),
        origin=origin,
        purpose=Purpose.REPLY,
        prefix=prefix,
        started_at=0.0,
        duration_ms=10,
        ttft_ms=5,
        status=RequestStatus.COMPLETE,
        error_code=None,
        request_id="r",
        found=None,
        usage=None,
        rates=None,
        joined_id=None,
        raced_id=None,
        waited_ms=0,
    )
    return replace(facts, **changes)


async def only_of(warm_up_id: Any) -> WarmUp:
    return await in_database_thread(lambda: WarmUp.objects.get(pk=warm_up_id))


async def test_nobody_came_in_time_so_it_is_unused(fake: FakeRuntime, clock: FakeClock) -> None:
    await warm()
    clock.advance(299)
    before = (await only_warm_up()).outcome
    clock.advance(2)

    row = await only_warm_up()

    assert (before, row.outcome, row.settled_at) == (Outcome.PENDING, "unused", at(clock.now()))


async def test_a_long_reply_that_began_in_time_takes_back_the_sweeps_unused(
    fake: FakeRuntime, clock: FakeClock
) -> None:
    await warm()
    clock.advance(200)
    async with services.stream_response(make_prompt(), make_turn(), max_tokens=9) as response:
        async for event in response:
            if isinstance(event, BlockDelta):
                clock.advance(150)
                await services.flush()

    assert (await only_warm_up()).outcome == "hit"


async def test_a_request_that_comes_too_late_credits_nothing(fake: FakeRuntime, clock: FakeClock) -> None:
    await warm()
    clock.advance(301)

    response = await send()

    assert (await only_warm_up()).outcome == "unused"
    assert response.result is not None
    assert (response.result.settlement.warmth, response.result.settlement.warm_up_id) == ("cold", None)


async def test_same_bytes_in_time_and_nothing_read_means_evicted(fake: FakeRuntime) -> None:
    await warm()
    fake.provider.evict()

    response = await send()

    assert (await only_warm_up()).outcome == "evicted"
    assert response.result is not None
    assert response.result.settlement.warmth == "cold"


async def test_a_failure_is_a_row_with_its_code(fake: FakeRuntime) -> None:
    fake.provider.fail(UpstreamUnavailable("server_error", "no", request_id="r" * 200))
    await warm()

    row = await only_warm_up()

    assert (row.outcome, row.error_code, row.cost_usd, row.estimated_expires_at) == (
        "failed",
        "server_error",
        None,
        None,
    )
    assert row.request_id == "r" * 80


async def test_a_warm_up_that_left_nothing_failed_whatever_it_cost(fake: FakeRuntime) -> None:
    fake.provider.reports_nothing = True
    await warm()
    await send()

    row = await only_warm_up()

    assert (row.outcome, row.error_code) == ("failed", "not_cacheable")
    assert row.input_tokens > 4000
    assert row.cost_usd is not None
    assert row.cost_usd > 0


async def test_closing_cancels_what_is_in_flight_and_says_so(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock, value_of_second_usd=DEAR) as fake:
        fake.provider.hold_warm_ups()
        await services.prewarm_prefix(make_prompt(), intent="typing")
        await fake.provider.warm_ups_in_flight()

    row = await in_database_thread(WarmUp.objects.get)
    assert (row.outcome, row.error_code) == ("cancelled", "")
    assert fake.provider.is_closed


async def test_a_request_that_got_no_answer_leaves_the_warm_up_to_the_next_one(fake: FakeRuntime) -> None:
    await warm()
    fake.provider.fail(UpstreamUnavailable("rate_limited", "no"), kind="reply")
    with pytest.raises(UpstreamUnavailable):
        await send()
    still = (await only_warm_up()).outcome
    await send()

    failed, good = sorted(await rows(UsageRecord), key=lambda record: record.status, reverse=True)
    assert (still, (await only_warm_up()).outcome) == (Outcome.PENDING, "hit")
    assert (failed.status, failed.error_code, failed.warm_up_id, failed.cost_usd) == (
        "failed",
        "rate_limited",
        None,
        None,
    )
    assert (good.status, good.warmth) == ("complete", "hit")


async def test_a_stopped_and_a_broken_reply_are_rows_too_with_the_output_estimated_from_what_came(
    fake: FakeRuntime,
) -> None:
    async with services.stream_response(make_prompt(), make_turn(), max_tokens=9) as response:
        async for event in response:
            if isinstance(event, BlockDelta):
                break
    fake.provider.fail(StreamBroken("stream_cut", "cut"), after_pieces=1)
    with pytest.raises(StreamBroken):
        await send()

    found = {(record.status, record.error_code, record.output_tokens) for record in await rows(UsageRecord)}

    assert found == {("stopped", "", 2), ("interrupted", "stream_cut", 2)}  # "Hello" at 2.5 characters a token


async def test_a_request_that_was_never_sent_is_no_row(fake: FakeRuntime) -> None:
    async with services.stream_response(make_prompt(), make_turn(), max_tokens=9):
        pass

    assert await rows(UsageRecord) == []


async def test_warming_the_shared_layer_is_credited_by_any_conversation(fake: FakeRuntime) -> None:
    await warm(make_prompt())

    response = await send(make_prompt(turns=1))

    assert (await only_warm_up()).outcome == "hit"
    assert response.result is not None
    assert response.result.settlement.warm_up_id is not None


async def test_another_conversations_layer_is_left_alone_and_the_shared_one_is_credited(
    fake: FakeRuntime, clock: FakeClock
) -> None:
    await warm(make_prompt(name="ann", turns=1))

    response = await send(make_prompt(name="bob", turns=1))
    row = await only_warm_up()
    before = await outcomes_of(row)
    clock.advance(301)
    await services.flush()

    shared, conversation = await lines_of(row)
    assert before == [("shared", "hit"), ("conversation", "")]
    assert (shared.request_id, shared.credited_tokens) == (response.id, shared.written_tokens)
    assert (conversation.outcome, conversation.request_id, conversation.credited_tokens) == ("unused", None, 0)
    assert (await only_warm_up()).outcome == "hit"


async def test_what_was_warmed_for_this_conversation_under_other_bytes_has_diverged(fake: FakeRuntime) -> None:
    await warm(make_prompt(turns=1, draft_tokens=2000), place="7", subject="ann")
    await warm(make_prompt(name="b", turns=1), place="8", subject="ann")

    await send(make_prompt(turns=1), place="7", subject="ann")
    seen = [await outcomes_of(row) for row in sorted(await rows(), key=lambda row: row.place)]

    assert seen == [
        [("shared", "hit"), ("conversation", "hit"), ("draft", "diverged")],
        [("shared", "hit"), ("conversation", "")],
    ]


async def test_a_title_with_a_prompt_of_its_own_makes_nothing_diverge(fake: FakeRuntime) -> None:
    await warm(make_prompt(turns=1), place="7")

    await send(make_prompt(name="titles", system_tokens=5000), place="7", purpose="title")

    assert await outcomes_of(await only_warm_up()) == [("shared", ""), ("conversation", "")]


async def test_a_request_that_reads_it_after_all_takes_back_that_it_diverged(fake: FakeRuntime) -> None:
    await warm(make_prompt(turns=2), place="7")
    await send(make_prompt(turns=1), place="7")
    diverged = await outcomes_of(await only_warm_up())

    await send(make_prompt(turns=2), place="7")

    assert diverged == [("shared", "hit"), ("conversation", "diverged")]
    assert await outcomes_of(await only_warm_up()) == [("shared", "hit"), ("conversation", "hit")]


async def test_two_layers_are_settled_apart_when_only_the_second_was_evicted(fake: FakeRuntime) -> None:
    await warm(make_prompt(turns=1))
    shared, conversation = await lines_of(await only_warm_up())
    fake.provider.evict(conversation.prefix_hash)

    await send(make_prompt(turns=1))

    row = await only_warm_up()
    assert await outcomes_of(row) == [("shared", "hit"), ("conversation", "evicted")]
    assert [line.credited_tokens for line in await lines_of(row)] == [shared.written_tokens, 0]


async def test_a_lost_insert_is_made_up_for_by_the_next_word_about_the_warm_up() -> None:
    finished, failed = facts_of_warm_up(turns=1), facts_of_warm_up(turns=1)

    def write() -> None:
        usage = Usage(input_tokens=9, cache_write_tokens=5000)
        records.finish_warm_up(finished, usage=usage, rates=RATES, duration_ms=9, request_id="r")
        records.insert_warm_up(finished)
        records.fail_warm_up(
            failed, outcome=Outcome.FAILED, error_code="timed_out", request_id="", duration_ms=9, now=200.0
        )

    await in_database_thread(write)

    done, broken = await only_of(finished.id), await only_of(failed.id)
    assert (done.cache_write_tokens, done.intent, done.outcome) == (5000, "typing", "")
    assert sum(line.cost_usd for line in await lines_of(done)) == done.cost_usd
    assert broken.error_code == "timed_out"
    assert await outcomes_of(broken) == [("shared", "failed"), ("conversation", "failed")]


async def test_many_who_settle_the_same_lines_at_once_settle_each_of_them_once() -> None:
    warm_ups = [facts_of_warm_up(name=f"n{n % 4}", turns=1) for n in range(12)]
    usage = Usage(cache_read_tokens=4000, cache_write_tokens=1000)
    read = Usage(cache_read_tokens=5000)

    def request(warm_up: records.WarmUpFacts) -> RequestFacts:
        return facts_of(warm_up.prefix, warm_up.origin, started_at=150.0, found=read, usage=read)

    async def warm_and_read(warm_up: records.WarmUpFacts) -> None:
        await in_database_thread(lambda: records.insert_warm_up(warm_up))
        finish = functools.partial(records.finish_warm_up, warm_up, usage=usage, rates=RATES, request_id="r")
        write = functools.partial(records.record_request, request(warm_up))
        await asyncio.gather(
            in_database_thread(lambda: finish(duration_ms=10)),
            in_database_thread(write),
            in_database_thread(lambda: records.sweep(120.0)),
        )
        await in_database_thread(lambda: records.record_request(request(warm_up)))

    await asyncio.gather(*(warm_and_read(warm_up) for warm_up in warm_ups))

    found = [(row.outcome, await lines_of(row)) for row in await in_database_thread(lambda: list(WarmUp.objects.all()))]
    assert {outcome for outcome, _ in found} == {"hit"}
    assert all(line.outcome == "hit" and line.request_id is not None for _, lines in found for line in lines)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite lets one writer in at a time")
async def test_whoever_waited_for_the_lock_settles_nothing_that_was_settled_meanwhile() -> None:
    warm_up = facts_of_warm_up(turns=1)
    read = Usage(cache_read_tokens=5000)
    first, second = [
        facts_of(warm_up.prefix, warm_up.origin, started_at=150.0, found=read, usage=read) for _ in range(2)
    ]
    has_settled, may_commit = threading.Event(), threading.Event()

    def warm_up_row() -> None:
        records.insert_warm_up(warm_up)
        usage = Usage(cache_write_tokens=5000)
        records.finish_warm_up(warm_up, usage=usage, rates=RATES, duration_ms=9, request_id="r")

    def hold(_: records.Settlement) -> None:
        has_settled.set()
        assert may_commit.wait(PATIENCE_SECONDS)

    await in_database_thread(warm_up_row)
    settling = asyncio.create_task(in_database_thread(records.record_request, first, then=hold))
    assert await asyncio.to_thread(has_settled.wait, PATIENCE_SECONDS)
    waiting = asyncio.create_task(in_database_thread(records.record_request, second))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await in_database_thread(somebody_waits_for_a_lock):  # noqa: ASYNC110 - PostgreSQL sets no event
            await asyncio.sleep(0.02)
    may_commit.set()
    found = [await settling, await waiting]

    assert [settlement.warm_up_id for settlement in found] == [warm_up.id] * 2
    lines = await lines_of(await only_of(warm_up.id))
    assert {(line.outcome, line.request_id) for line in lines} == {("hit", first.id)}


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock')"
        )
        return bool(cursor.fetchone()[0])


def facts_of_warm_up(**prompt: Any) -> records.WarmUpFacts:
    return records.WarmUpFacts(
        id=uuid4(),
        origin=Origin(label="", subject="", upstream="simulator"),
        prefix=make_prefix(**prompt),
        intent="typing",
        reason="cold",
        started_at=100.0,
    )


async def test_skips_are_counted_per_minute_and_written_once(fake: FakeRuntime, clock: FakeClock) -> None:
    clock.advance(-(clock.now() % 60))
    prefix = services.outline(make_prompt(system_tokens=100))
    for label in ("a", "a", "a", "b"):
        await services.consider_prefix(prefix, intent="typing", label=label)
    await services.flush()
    await services.consider_prefix(prefix, intent="typing", label="a")
    clock.advance(60)
    await services.consider_prefix(prefix, intent="typing", label="a")
    await services.flush()

    found = await in_database_thread(
        lambda: sorted(SkipCount.objects.values_list("minute", "label", "intent", "reason", "count"))
    )

    minute = at(clock.now() - 60)
    assert found == [
        (minute, "a", "typing", "below_minimum_tokens", 4),
        (minute, "b", "typing", "below_minimum_tokens", 1),
        (at(clock.now()), "a", "typing", "below_minimum_tokens", 1),
    ]


async def test_a_database_that_fails_for_a_while_costs_neither_the_reply_nor_a_row(
    fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ledgers, "FLUSH_PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr("warmcache.warmups.attempt.ROW_PATIENCE_SECONDS", 0.1)
    # On a slow machine so many tries fit into this test that the write itself would be given up as broken.
    monkeypatch.setattr(ledgers, "MAX_FAILURES_WHILE_UP", 10**9)

    def broken(*_: Any, **__: Any) -> None:
        raise OperationalError("the disk is full")

    with monkeypatch.context() as patch:
        for name in ("insert_warm_up", "finish_warm_up", "record_request", "add_skip_counts", "sweep"):
            patch.setattr(records, name, broken)
        attempt = await warm()
        response = await send()
        await services.flush()
        during = await in_database_thread(UsageRecord.objects.count)

    assert during == 0
    assert attempt.finished is not None
    assert (await attempt.finished()).state == "warm"
    assert response.result is not None
    assert (response.result.status, response.result.settlement.warmth) == ("complete", "hit")
    assert "the disk is full" in caplog.text
    await fake.runtime.ledger.drain()
    (row,) = await rows()
    assert (row.outcome, row.cache_write_tokens > 0) == ("hit", True)
    assert [record.pk for record in await rows(UsageRecord)] == [response.id]
    assert fake.runtime.ledger.dropped_writes == 0


async def test_words_of_the_host_that_are_too_long_are_cut_and_cost_no_row(fake: FakeRuntime) -> None:
    words = {"label": "l" * 200, "subject": "s" * 200, "place": "p" * 200}
    await warm(**words)
    async with services.stream_response(make_prompt(), make_turn(), max_tokens=10, **words) as response:
        async for _ in response:
            pass
    await services.flush()

    def stored() -> list[tuple[str, str, str]]:
        columns = ("label", "subject", "place")
        return [*WarmUp.objects.values_list(*columns), *UsageRecord.objects.values_list(*columns)]

    assert await in_database_thread(stored) == [("l" * 80, "s" * 80, "p" * 80)] * 2
