"""Whoever settles at the same time, in whatever process: each line is settled once."""

import asyncio
import functools
import threading

import pytest
from django.db import connection

from tests.servers import PATIENCE_SECONDS
from tests.warmcache.ledger.told import (
    RATES,
    facts_of,
    facts_of_warm_up,
    lines_of,
    only_of,
)
from warmcache.background.database import in_database_thread
from warmcache.core.usage import Usage
from warmcache.ledger import rows as records
from warmcache.ledger.rows import RequestFacts
from warmcache.models import WarmUp

pytestmark = pytest.mark.django_db(transaction=True)


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
