import asyncio

import pytest
from django.db import connection, transaction
from redis.asyncio import Redis

from tests.counting import counted
from tests.servers.redis_server import RedisServer
from warmcache.background.database import in_database_thread
from warmcache.models import SkipCount


@pytest.mark.django_db(transaction=True)
def test_statements_are_counted_without_those_that_only_bracket_a_transaction() -> None:
    with counted() as counts:
        with transaction.atomic(), transaction.atomic():
            SkipCount.objects.count()
            list(SkipCount.objects.all())

    assert len(counts.statements) == 2
    assert len(counts.about("COUNT(*)")) == 1


@pytest.mark.django_db(transaction=True)
def test_a_connection_is_counted_when_it_is_opened_and_not_when_it_is_used() -> None:
    connection.close()
    if connection.vendor == "postgresql":
        connection.close_pool()

    with counted() as first:
        connection.ensure_connection()
    with counted() as second:
        SkipCount.objects.count()

    assert first.new_connections >= 1  # a pool opens its least number at once
    assert second.new_connections == 0


@pytest.mark.django_db(transaction=True)
async def test_statements_and_hops_of_database_threads_are_counted() -> None:
    with counted() as counts:
        await asyncio.gather(*(in_database_thread(SkipCount.objects.count) for _ in range(3)))
        await asyncio.to_thread(lambda: None)

    assert (counts.hops, len(counts.statements)) == (3, 3)


async def test_a_pipeline_is_one_round_trip_and_a_script_too(redis_server: RedisServer) -> None:
    async with Redis.from_url(redis_server.url) as redis:
        await redis.ping()
        with counted() as counts:
            await redis.set("a", "*1\r\n$4\r\nECHO")
            async with redis.pipeline(transaction=False) as pipeline:
                await pipeline.get("a").get("b").execute()
            await redis.eval("return 1", 0)

    assert counts.round_trips == ["SET", "GET+GET", "EVAL"]


def test_nothing_is_counted_after_the_block() -> None:
    with counted() as counts:
        pass

    asyncio.run(in_database_thread(lambda: None))

    assert counts.hops == 0
