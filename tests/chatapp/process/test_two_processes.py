"""Two real servers on one Redis and one simulator: they warm a prompt once, and one joins what the other warms."""

import asyncio
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from tests.chatapp.sockets import eventually
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ChatServer
from tests.servers.redis_server import RedisServer
from tests.servers.tabs import calls, make_ready, open_tab, type_until_warm

HELD = {"kind": "stall", "where": "before_headers", "match": "warm_up"}
"""A warm-up that takes until it is released."""

LATER_THAN_JOINING_BEGINS_SECONDS = 1.2


@pytest.fixture(scope="module")
def two_servers(new_database, _redis: RedisServer) -> Iterator[tuple[ChatServer, ChatServer]]:
    with ChatServer(database_url=new_database(), redis_url=_redis.url) as first:
        with ChatServer(database_url=first.database_url, redis_url=_redis.url, beside=first) as second:
            yield first, second


@pytest.fixture
def servers(two_servers, redis_server: RedisServer) -> tuple[ChatServer, ChatServer]:
    """Both with nothing warm."""
    two_servers[0].simulator.reset()
    return two_servers


async def has_stalled(server: ChatServer) -> bool:
    return any(call["fault"] for call in calls(server))


async def test_sockets_of_two_processes_that_type_at_once_warm_a_prompt_once(servers):
    servers[0].simulator.fault(**HELD)
    async with AsyncExitStack() as stack:
        tabs = [
            await stack.enter_async_context(open_tab(server, user))
            for server in servers
            for user in ("ann", "bob")
            for _ in range(5)
        ]

        await asyncio.gather(*(tab.send("typing.started", chars=1) for tab in tabs))
        await asyncio.gather(*(tab.until("warmth", state="warming") for tab in tabs))
        await eventually(lambda: has_stalled(servers[0]))
        servers[0].simulator.release()
        await asyncio.gather(*(tab.until("warmth", state="warm") for tab in tabs))

    assert [call["is_warm_up"] for call in calls(servers[0])] == [True]


async def test_a_request_joins_a_warm_up_that_another_process_leads(servers):
    await make_ready(servers[1])
    servers[0].simulator.fault(**HELD)
    async with open_tab(servers[0]) as types, open_tab(servers[1], "bob") as sends:
        await types.send("typing.started", chars=1)
        await types.until("warmth", state="warming")
        await asyncio.sleep(LATER_THAN_JOINING_BEGINS_SECONDS)

        await sends.say("What is a prompt cache?")
        await sends.until("reply.started", warmth="joined")
        meanwhile = calls(servers[0])
        servers[0].simulator.release()
        finished = await sends.until("reply.finished")

    warm_up, _ = calls(servers[0])
    assert (finished["status"], finished["warmth"]) == ("complete", "joined")
    assert [call["is_warm_up"] for call in meanwhile] == [True]
    assert finished["usage"]["cache_read_tokens"] >= 0.99 * warm_up["usage"]["cache_creation_input_tokens"]
    assert servers[0].query("SELECT outcome FROM warmcache_warmup ORDER BY started_at")[-1] == ("joined",)


async def test_a_warm_up_of_another_process_that_stalls_holds_a_request_no_longer_than_the_bound(servers):
    await make_ready(servers[1])
    servers[0].simulator.fault(**HELD)
    async with open_tab(servers[0]) as types, open_tab(servers[1], "bob") as sends:
        await types.send("typing.started", chars=1)
        await types.until("warmth", state="warming")
        await asyncio.sleep(LATER_THAN_JOINING_BEGINS_SECONDS)

        await sends.say("What is a prompt cache?")
        started = await sends.until("reply.started")
        finished = await sends.until("reply.finished")

    warm_up, reply = calls(servers[0])
    servers[0].simulator.release()
    assert (started["warmth"], finished["status"], finished["warmth"]) == ("joined", "complete", "raced")
    assert reply["usage"]["cache_read_input_tokens"] == 0
    assert "finished" not in warm_up["timings_ms"]


async def test_without_redis_a_reply_still_comes_and_warming_resumes_by_itself(servers, redis_server: RedisServer):
    async with open_tab(servers[0]) as tab:
        redis_server.kill()
        try:
            await tab.send("typing.started", chars=1)
            skipped = await tab.until("warmth", state="skipped")
            await tab.say("Are you there?")
            finished = await tab.until("reply.finished")
        finally:
            redis_server.start()

    assert skipped["reason"] == "store_unavailable"
    assert finished["status"] == "complete"
    servers[0].simulator.call("POST", "evict", {})
    async with open_tab(servers[0], "bob") as tab:
        await type_until_warm(tab)


async def test_signing_out_in_the_admin_of_one_process_closes_a_silent_socket_of_another(servers):
    token = "x" * 32
    cookies = f"{servers[0].users['root'].cookie}; csrftoken={token}"
    request = urllib.request.Request(
        f"{servers[1].url}/admin/logout/", b"", {"Cookie": cookies, "X-CSRFToken": token}, method="POST"
    )
    async with open_tab(servers[0], "root") as silent, open_tab(servers[0], "ann") as stays:
        await asyncio.to_thread(urllib.request.urlopen, request, timeout=PATIENCE_SECONDS)
        _, code = await silent.rest()
        await stays.send("ping")
        await stays.until("pong")

    assert code == 4401
