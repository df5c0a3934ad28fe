"""A person's limits hold over the sockets of two processes, and an operator's change reaches both."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.chatapp.sockets import eventually
from tests.servers.chat_server import ChatServer
from tests.servers.redis_server import RedisServer
from tests.servers.tabs import LiveTab, open_tab

MOST = 12


@pytest.fixture
def servers(new_database, redis_server: RedisServer) -> Iterator[tuple[ChatServer, ChatServer]]:
    with ChatServer(database_url=new_database(), redis_url=redis_server.url) as first:
        with ChatServer(database_url=first.database_url, redis_url=redis_server.url, beside=first) as second:
            yield first, second


def set_limit(server: ChatServer, most: int) -> None:
    server.query("DELETE FROM chatapp_usagelimit RETURNING id")
    server.query(
        "INSERT INTO chatapp_usagelimit (applies_to, messages_per_day, updated_at)"
        " VALUES ('each_person', ?, CURRENT_TIMESTAMP) RETURNING id",
        most,
    )


async def answers(tab: LiveTab, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        frame = await tab.read()
        if frame["type"] in ("message.created", "error"):
            found.append(frame)
    return found


async def test_two_processes_count_together_and_both_hear_of_a_change(servers) -> None:
    await asyncio.to_thread(set_limit, servers[0], 0)
    async with AsyncExitStack() as stack:
        tabs = [await stack.enter_async_context(open_tab(server)) for server in servers for _ in range(2)]
        for tab in tabs:

            async def is_refused(tab: LiveTab = tab) -> bool:
                await tab.say("May I?")
                return (await answers(tab, 1))[0]["type"] == "error"

            await eventually(is_refused)
        [(before,)] = servers[0].query("SELECT count(*) FROM chatapp_message WHERE role = 'user'")
        await asyncio.to_thread(set_limit, servers[0], before + MOST)
        others = [await stack.enter_async_context(open_tab(server)) for server in servers]
        for tab in others:

            async def is_accepted(tab: LiveTab = tab) -> bool:
                await tab.say("And now?")
                return (await answers(tab, 1))[0]["type"] == "message.created"

            await eventually(is_accepted)
        for _ in range(MOST):
            await asyncio.gather(*(tab.say("Again") for tab in tabs))
        found = [frame for frames in await asyncio.gather(*(answers(tab, MOST) for tab in tabs)) for frame in frames]

    accepted = [frame for frame in found if frame["type"] == "message.created"]
    assert len(accepted) == MOST - len(others)
    [(after,)] = servers[0].query("SELECT count(*) FROM chatapp_message WHERE role = 'user'")
    assert after == before + MOST
