"""What a person notices while Redis or PostgreSQL is away, on real servers: nothing that is not mended soon after."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.servers.chat_server import ChatServer
from tests.servers.fault_proxy import FaultProxy
from tests.servers.postgres_server import PostgresServer
from tests.servers.redis_server import RedisServer
from tests.servers.tabs import LiveTab, open_tab


@pytest.fixture(scope="module")
def servers(new_database, _redis: RedisServer) -> Iterator[tuple[ChatServer, ChatServer]]:
    with ChatServer(database_url=new_database(), redis_url=_redis.url) as first:
        with ChatServer(database_url=first.database_url, redis_url=_redis.url, beside=first) as second:
            yield first, second


async def live_through_an_outage(servers: tuple[ChatServer, ChatServer], redis: RedisServer, seconds: float) -> None:
    """Two tabs of one conversation in two processes, and a third tab that comes while Redis is away."""
    here, there = servers
    here.simulator.reset()
    async with open_tab(here) as mine:
        conversation_id = (await mine.say_and_hear("First"))["conversation_id"]
        await mine.until("reply.finished")
        async with open_tab(there) as other:
            await other.open(conversation_id)
            redis.kill()
            try:
                gone_at = time.monotonic()
                async with open_tab(here) as newcomer:
                    await newcomer.open(conversation_id)
                    await mine.say_and_hear("While Redis is away", conversation_id=conversation_id)
                    local = await newcomer.until("message.created", text="While Redis is away")
                    finished = await mine.until("reply.finished")
                await asyncio.sleep(max(0.0, gone_at + seconds - time.monotonic()))
            finally:
                redis.start()
            caught_up = await messages_of(other, count=4)
            await mine.say_and_hear("After", conversation_id=conversation_id)
            await other.until("message.created", text="After")
            await mine.until("reply.finished")
            stored = here.query(
                "SELECT count(*) FROM chatapp_message WHERE conversation_id = ?", id_of(here, conversation_id)
            )

    assert local["conversation_id"] == conversation_id
    assert finished["status"] == "complete"
    assert [message["text"] for message in caught_up if message["role"] == "user"] == ["First", "While Redis is away"]
    assert stored == [(6,)]


async def messages_of(tab: LiveTab, *, count: int) -> list[dict[str, Any]]:
    """The whole conversation as the server tells it unasked, once it has so many messages."""
    while True:
        state = await tab.until("conversation.state")
        messages: list[dict[str, Any]] = state["messages"]
        if len(messages) >= count:
            return messages


def id_of(server: ChatServer, conversation_id: str) -> str:
    """As the database writes it."""
    return conversation_id.replace("-", "") if server.database_url.startswith("sqlite") else conversation_id


async def test_redis_away_for_a_moment_costs_no_socket_and_no_reply(servers, redis_server: RedisServer):
    await live_through_an_outage(servers, redis_server, 2.0)


@pytest.mark.soak
async def test_redis_away_for_ten_seconds_costs_no_socket_and_no_reply(servers, redis_server: RedisServer):
    await live_through_an_outage(servers, redis_server, 10.0)


TEXT = "What was begun goes on without its database. " * 40


@pytest.fixture(scope="module")
def postgres_wire(postgres_server: PostgresServer) -> Iterator[tuple[FaultProxy, str]]:
    """A wire to PostgreSQL that can be cut, and the address of a new database at its end."""
    address = urlsplit(postgres_server.create_database())
    folder = Path(parse_qs(address.query)["host"][0])
    with FaultProxy(folder / ".s.PGSQL.5432") as wire:
        yield wire, f"postgresql://postgres@127.0.0.1:{wire.port}{address.path}"


@pytest.fixture(scope="module")
def on_postgres(postgres_wire: tuple[FaultProxy, str]) -> Iterator[ChatServer]:
    with ChatServer(database_url=postgres_wire[1]) as server:
        yield server


async def live_without_a_database(server: ChatServer, wire: FaultProxy, seconds: float) -> None:
    """A reply is written and another tab is open while the database is away."""
    before = server.query("SELECT count(*) FROM chatapp_message")[0][0]
    server.simulator.reset()
    server.simulator.script(text=TEXT, tokens_per_second=len(TEXT) / 4 / (seconds + 1))
    async with open_tab(server) as mine, open_tab(server) as other:
        conversation_id = (await mine.say_and_hear("Begin."))["conversation_id"]
        first = await mine.until("reply.delta")
        wire.cut(stay_cut=True)
        try:
            for _ in range(round(seconds)):
                await other.send("ping")
                await other.until("pong")
                await asyncio.sleep(1.0)
        finally:
            wire.mend()
        texts, finished = await rest_of_reply(mine)
        state = await other.open(conversation_id)
        await mine.say_and_hear("And now?", conversation_id=conversation_id)
        await mine.until("reply.finished")
        stored = server.query("SELECT count(*) FROM chatapp_message")[0][0]

    assert (finished["status"], first["text"] + texts) == ("complete", TEXT)
    assert [(m["status"], m["text"]) for m in state["messages"]][1:] == [("complete", TEXT)]
    assert stored == before + 4


async def rest_of_reply(tab: LiveTab) -> tuple[str, dict[str, Any]]:
    """The text that still comes, and the last frame."""
    frames = await tab.all_until("reply.finished")
    return "".join(frame["text"] for frame in frames if frame["type"] == "reply.delta"), frames[-1]


async def test_postgresql_away_for_a_moment_costs_no_socket_no_text_and_no_row(on_postgres, postgres_wire):
    await live_without_a_database(on_postgres, postgres_wire[0], 2.0)


@pytest.mark.soak
async def test_postgresql_away_for_ten_seconds_costs_no_socket_no_text_and_no_row(on_postgres, postgres_wire):
    await live_without_a_database(on_postgres, postgres_wire[0], 10.0)
