"""No reply holds a database connection while it streams: ten times as many streams as the pool has connections."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest

from tests.chatapp.sockets import eventually
from tests.servers import patient_settings
from tests.servers.chat_server import ChatServer
from tests.servers.postgres_server import PostgresServer
from tests.servers.tabs import LiveTab, open_tab

POOL_SIZE = 10
STREAMS = 10 * POOL_SIZE
STREAMS_PER_TAB = 25
CONNECTIONS = """
    SELECT state, count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' GROUP BY state
"""


@pytest.fixture
def server(postgres_server: PostgresServer) -> Iterator[ChatServer]:
    patient = {"DJANGO_SETTINGS_MODULE": patient_settings.__name__}
    with ChatServer(database_url=postgres_server.create_database(), environment=patient) as server:
        yield server
        # Not as an operator would: nobody waits here for a hundred replies to end.
        server.kill()


async def test_ten_times_as_many_streams_as_pooled_connections_and_one_more_message(server: ChatServer) -> None:
    server.simulator.script(tokens=400, times=STREAMS)
    server.simulator.fault(kind="stall", where="after_first_token", match="reply", after_tokens=64, times=STREAMS)
    async with AsyncExitStack() as stack:
        tabs = [await stack.enter_async_context(open_tab(server)) for _ in range(STREAMS // STREAMS_PER_TAB)]
        await asyncio.gather(*(begin_replies(tab) for tab in tabs))

        running = {f["reply_id"] for tab in tabs for f in tab.frames if f["type"] == "reply.delta"}

        async def is_no_transaction_open() -> bool:
            states = dict(await asyncio.to_thread(server.query, CONNECTIONS))
            assert sum(states.values()) <= POOL_SIZE
            return "idle in transaction" not in states

        # One that stores how far a reply has come is open for a moment.
        await eventually(is_no_transaction_open)
        one_more = await stack.enter_async_context(open_tab(server, "bob"))
        await one_more.say("Is there room?", assistant_id=server.assistants["warmcache-guide"])
        finished = await one_more.until("reply.finished")

        async def is_stored() -> bool:
            rows = await asyncio.to_thread(server.query, "SELECT count(*) FROM chatapp_message WHERE log_seq > 0")
            return rows == [(STREAMS + 1,)]

        await eventually(is_stored)

    assert len(running) == STREAMS
    assert finished["status"] == "complete"
    assert [exchange["hung_up"] for exchange in server.simulator.requests()].count(True) == 0


async def begin_replies(tab: LiveTab) -> None:
    for _ in range(STREAMS_PER_TAB):
        await tab.begin_reply()
