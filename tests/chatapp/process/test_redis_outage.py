"""Redis goes and comes back while people chat on two real servers: no reply is broken, and warming resumes."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ChatServer
from tests.servers.redis_server import RedisServer
from tests.servers.tabs import LiveTab, calls, make_ready, open_tab, open_tabs

TABS_EACH = 4
BEFORE, WITHOUT, AFTER = 2, 3, 2
"""Messages of each tab in each phase."""


@pytest.fixture(scope="module")
def two_servers(new_database: Any, _redis: RedisServer) -> Iterator[tuple[ChatServer, ChatServer]]:
    with ChatServer(database_url=new_database(), redis_url=_redis.url) as first:
        with ChatServer(database_url=first.database_url, redis_url=_redis.url, beside=first) as second:
            yield first, second


class Chat:
    """One tab and its conversation, which is open before anything happens."""

    def __init__(self, tab: LiveTab) -> None:
        self._tab = tab
        self._conversation_id: str | None = None
        self.ends: list[dict[str, Any]] = []

    async def begin(self) -> None:
        await self._tab.say("Hello")
        created = await self._tab.until("message.created")
        self._conversation_id = created["conversation_id"]
        await self._tab.until("reply.finished")

    async def say(self, times: int) -> None:
        """Types and sends, and waits for the whole reply, again and again."""
        for _ in range(times):
            await self._tab.send("typing.started", chars=3, conversation_id=self._conversation_id)
            await self._tab.say(f"Once more {uuid4()}", conversation_id=self._conversation_id)
            self.ends.append(await self._tab.until("reply.finished"))


async def test_redis_that_stops_and_starts_breaks_no_reply_and_warming_resumes_by_itself(
    two_servers: tuple[ChatServer, ChatServer], redis_server: RedisServer
) -> None:
    for server in two_servers:
        await make_ready(server)
    async with open_tabs(two_servers, "ann", each=TABS_EACH) as tabs_by_server:
        chats = [Chat(tab) for tabs in tabs_by_server for tab in tabs]
        await asyncio.gather(*(chat.begin() for chat in chats))

        talking = asyncio.gather(*(chat.say(BEFORE + WITHOUT) for chat in chats))
        await until_some_have_ended(chats, 1)
        redis_server.kill()
        try:
            await talking
            await asyncio.gather(*(chat.say(WITHOUT) for chat in chats))
        finally:
            redis_server.start()
        await asyncio.gather(*(chat.say(AFTER) for chat in chats))

    ends = [end for chat in chats for end in chat.ends]
    assert len(ends) == 2 * TABS_EACH * (BEFORE + 2 * WITHOUT + AFTER)
    assert {(end["status"], end["error"]) for end in ends} == {("complete", None)}
    await require_warming_resumes(two_servers[0])


async def until_some_have_ended(chats: list[Chat], count: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sum(len(chat.ends) for chat in chats) < count:  # noqa: ASYNC110 - told by frames of many sockets
            await asyncio.sleep(0.005)


async def require_warming_resumes(server: ChatServer) -> None:
    """Within the time that a page needs to connect anew, and without anybody's help."""
    server.simulator.call("POST", "evict", {})
    before = sum(call["is_warm_up"] for call in calls(server))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sum(call["is_warm_up"] for call in calls(server)) == before:
            async with open_tab(server, "bob", assistant="python-reference") as tab:
                await tab.send("typing.started", chars=1)
                await tab.until("warmth")
            await asyncio.sleep(0.2)
