"""How a warm-up ended, by the request that came after it or did not come."""

import asyncio
from decimal import Decimal

import pytest

from tests.warmcache.ledger.told import (
    facts_of,
    facts_of_warm_up,
    only_of,
    only_warm_up,
    rows,
    send,
    warm,
)
from warmcache import services
from warmcache.background.database import in_database_thread
from warmcache.core.errors import UpstreamUnavailable
from warmcache.core.moments import at
from warmcache.core.ports import BlockDelta
from warmcache.core.usage import Usage
from warmcache.ledger import rows as records
from warmcache.models import Outcome, UsageRecord
from warmcache.testing import FakeClock, FakeRuntime, make_prompt, make_turn

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_request_that_reads_it_makes_it_a_hit(fake: FakeRuntime, clock: FakeClock) -> None:
    await warm()
    clock.advance(10)
    response = await send(label="helpdesk", purpose="reply")

    row = await only_warm_up()
    (record,) = await rows(UsageRecord)

    assert (row.outcome, row.settled_at) == ("hit", at(clock.now()))
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
    assert response.result.settlement.warm_up_id == row.pk


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
    assert (response.result.settlement.warmth, response.result.settlement.warm_up_id) == ("cold", None)


async def test_same_bytes_in_time_and_nothing_read_means_evicted(fake: FakeRuntime) -> None:
    await warm()
    fake.provider.evict()

    response = await send()

    assert (await only_warm_up()).outcome == "evicted"
    assert response.result.settlement.warmth == "cold"


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
