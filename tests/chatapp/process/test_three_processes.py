"""Three real servers on one Redis and one simulator: three hundred sockets, and a leader that dies in mid-call."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from tests.servers import short_leases
from tests.servers.chat_server import ChatServer
from tests.servers.redis_server import RedisServer
from tests.servers.tabs import calls, make_ready, open_tabs, type_until_warm
from warmcache.stores.redis import POLL_SECONDS

PROCESSES = 3
SOCKETS_EACH = 100
CALL_SECONDS = 4.0
"""Longer than three hundred frames take to arrive, so that all of them are in time to do it twice."""

LOADED_MACHINE_SECONDS = 40.0
TYPING_REPEAT_SECONDS = 2.0
"""As `ready` tells the pages."""


@pytest.fixture(scope="module")
def three_servers(new_database: Any, _redis: RedisServer) -> Iterator[list[ChatServer]]:
    with ExitStack() as stack:
        options = {"redis_url": _redis.url, "environment": {"DJANGO_SETTINGS_MODULE": short_leases.__name__}}
        first = stack.enter_context(ChatServer(database_url=new_database(), **options))
        options |= {"database_url": first.database_url, "beside": first}
        yield [first, *(stack.enter_context(ChatServer(**options)) for _ in range(PROCESSES - 1))]


@pytest.fixture
async def servers(three_servers: list[ChatServer], redis_server: RedisServer) -> list[ChatServer]:
    """All of them with nothing warm."""
    for server in three_servers:
        await make_ready(server)
    three_servers[0].simulator.reset()
    return three_servers


def writes(server: ChatServer) -> list[int]:
    tokens = [call["usage"]["cache_creation_input_tokens"] for call in calls(server) if call["usage"]]
    return [written for written in tokens if written]


async def test_three_hundred_sockets_of_three_processes_that_type_at_once_cause_one_write(
    servers: Sequence[ChatServer],
) -> None:
    servers[0].simulator.fault(kind="slow", match="warm_up", seconds=CALL_SECONDS, times=PROCESSES * SOCKETS_EACH)
    async with open_tabs(servers, "ann", each=SOCKETS_EACH) as tabs_by_server:
        tabs = [tab for tabs in tabs_by_server for tab in tabs]

        await asyncio.gather(*(tab.send("typing.started", chars=1) for tab in tabs))
        await asyncio.gather(*(tab.until("warmth", state="warm") for tab in tabs))

    assert len(tabs) == PROCESSES * SOCKETS_EACH
    assert [call["is_warm_up"] for call in calls(servers[0])] == [True]
    assert len(writes(servers[0])) == 1


async def test_when_the_leader_is_killed_in_mid_call_another_takes_over_within_the_lease(
    servers: Sequence[ChatServer],
) -> None:
    leading, *others = servers
    leading.simulator.fault(kind="stall", where="before_headers", match="warm_up")
    async with open_tabs([leading], "ann", each=1) as ((leader,),), open_tabs(others, "bob", each=2) as tabs_by_server:
        await leader.send("typing.started", chars=1)
        await leader.until("warmth", state="warming")
        waiting = [
            asyncio.create_task(type_until_warm(tab, repeat_seconds=TYPING_REPEAT_SECONDS))
            for tabs in tabs_by_server
            for tab in tabs
        ]
        while not calls(leading):  # noqa: ASYNC110 - another process's
            await asyncio.sleep(0.02)

        leading.kill()
        killed_at = time.time()
        await asyncio.gather(*waiting)
    leading.start()

    abandoned, *later = calls(leading)
    assert [call["is_warm_up"] for call in (abandoned, *later)] == [True, True]
    assert len(writes(leading)) <= 2
    lease_and_a_keystroke = short_leases.LEASE_SECONDS + POLL_SECONDS + TYPING_REPEAT_SECONDS
    assert later[0]["arrived_at"] - killed_at <= lease_and_a_keystroke + LOADED_MACHINE_SECONDS
