"""What the ledger's rows say of a warm-up, of a request and of what was skipped, in a real database."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError

from tests.warmcache.ledger.told import (
    DEAR,
    RATES,
    facts_of_warm_up,
    lines_of,
    only_of,
    only_warm_up,
    outcomes_of,
    rows,
    send,
    warm,
)
from warmcache import services
from warmcache.background.database import in_database_thread
from warmcache.core.economics import request_cost_usd
from warmcache.core.errors import StreamBroken, UpstreamUnavailable
from warmcache.core.moments import at
from warmcache.core.ports import BlockDelta
from warmcache.core.usage import Usage
from warmcache.ledger import rows as records
from warmcache.ledger import writer as ledgers
from warmcache.models import Outcome, SkipCount, UsageRecord, WarmUp
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime, make_prompt, make_turn
from warmcache.upstream.prices import rates_for

pytestmark = pytest.mark.django_db(transaction=True)


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
