"""What a key press costs where nothing is to be done, counted at a real Redis and at the database."""

from collections import Counter

import pytest
from redis.asyncio import Redis

from chatapp.socket import buckets
from chatapp.warming import typing
from tests.servers.redis_server import RedisServer
from warmcache import services as warmcache

pytestmark = pytest.mark.django_db(transaction=True)

FRAMES = 50
OF_A_NEW_CONNECTION = {"auth", "client", "client|setinfo", "hello", "info", "select"}
"""INFO is the test's own."""


async def commands_so_far(redis_server: RedisServer) -> Counter[str]:
    async with Redis.from_url(redis_server.url) as redis:
        stats = await redis.info("commandstats")
    ours = {name.removeprefix("cmdstat_"): figures["calls"] for name, figures in stats.items()}
    return Counter({name: calls for name, calls in ours.items() if name not in OF_A_NEW_CONNECTION})


async def test_a_typing_frame_on_a_live_prefix_costs_no_sql_and_one_redis_command(
    open_tab, ann, assistant, simulator, queries, settings, monkeypatch, redis_server, nothing_by_the_clock
):
    settings.WARMCACHE = {**settings.WARMCACHE, "REDIS_URL": redis_server.url}
    monkeypatch.setattr(buckets.TokenBucket, "take", lambda self: True)
    tab = await open_tab(ann)
    await tab.send("typing.started", chars=1, attachment_ids=[], assistant_id=assistant.pk)
    await tab.until("warmth", state="warm")
    await tab.send("typing.started", chars=2, attachment_ids=[], assistant_id=assistant.pk)
    await tab.read_all()
    await warmcache.flush()
    loaded = []
    load = typing.in_database_thread
    monkeypatch.setattr(typing, "in_database_thread", lambda *a: loaded.append(a) or load(*a))
    before = await commands_so_far(redis_server)
    queries.clear()

    for chars in range(3, 3 + FRAMES):
        await tab.send("typing.started", chars=chars, attachment_ids=[], assistant_id=assistant.pk)
    await tab.read_all()

    assert (queries, loaded) == ([], [])
    assert await commands_so_far(redis_server) - before == Counter({"mget": FRAMES})
    assert len(simulator.requests()) == 1
