"""Bounds on sockets and forms hold over two processes, and one that is killed holds no places."""

import asyncio
import http.client
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
import websockets

from chatapp.protocol import CLOSE_TOO_MANY
from chatapp.protocol.limits import LIMITS
from tests.chatapp.sockets import eventually
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ChatServer
from tests.servers.redis_server import RedisServer
from tests.servers.tabs import open_tab

MOST = 4
Servers = tuple[ChatServer, ChatServer]


@pytest.fixture
def servers(new_database, redis_server: RedisServer) -> Iterator[Servers]:
    few = {"SOCKETS_PER_PERSON": str(MOST)}
    with ChatServer(database_url=new_database(), redis_url=redis_server.url, environment=few) as first:
        with ChatServer(
            database_url=first.database_url, redis_url=redis_server.url, environment=few, beside=first
        ) as second:
            yield first, second


async def is_admitted(stack: AsyncExitStack, server: ChatServer, user: str = "ann") -> bool:
    try:
        await stack.enter_async_context(open_tab(server, user))
    except websockets.ConnectionClosed as closed:
        assert closed.rcvd is not None and closed.rcvd.code == CLOSE_TOO_MANY
        return False
    return True


async def test_the_sockets_of_a_person_are_counted_together(servers: Servers) -> None:
    async with AsyncExitStack() as stack:
        found = [await is_admitted(stack, server) for server in servers * (MOST // 2 + 1)]
        of_another = await is_admitted(stack, servers[1], "bob")

        await asyncio.to_thread(servers[0].kill)
        await eventually(lambda: is_admitted(stack, servers[1]))
        await eventually(lambda: is_admitted(stack, servers[1]))
        one_more = await is_admitted(stack, servers[1])

    assert found == [True] * MOST + [False, False]
    assert (of_another, one_more) == (True, False)


def post(server: ChatServer) -> int:
    """A form of no effect, with the page's own token."""
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
    token = "a" * 32
    headers = {"Cookie": f"{server.users['ann'].cookie}; csrftoken={token}", "X-CSRFToken": token}
    client.request("POST", "/attachments/00000000-0000-4000-8000-000000000000/delete/", headers=headers)
    status = client.getresponse().status
    client.close()
    return status


def test_the_forms_of_a_person_are_counted_together(servers: Servers) -> None:
    began_at, outcomes = time.monotonic(), Counter[int]()
    while not outcomes[429]:
        outcomes.update(post(server) for server in servers)
        filled = LIMITS["posts_per_second"] * (time.monotonic() - began_at)
        assert outcomes[404] <= LIMITS["post_burst"] + filled + 1

    assert set(outcomes) == {404, 429}
