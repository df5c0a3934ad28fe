"""A browser tab on a real server: one websocket, its frames as dicts."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import websockets

from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ChatServer

OPENING_AT_ONCE = 20


class LiveTab:
    """Writes to one assistant, as long as no other place is named."""

    def __init__(self, socket: websockets.ClientConnection, assistant_id: int) -> None:
        self._socket = socket
        self._assistant_id = assistant_id

    async def send(self, kind: str, **fields: Any) -> None:
        place = {} if "conversation_id" in fields else {"assistant_id": self._assistant_id}
        await self._socket.send(json.dumps({"type": kind, **place, **fields}))

    async def say(self, text: str, **place: Any) -> str:
        """Gives the `client_message_id`."""
        client_message_id = str(uuid4())
        await self.send("message.send", client_message_id=client_message_id, text=text, **place)
        return client_message_id

    async def next_frame(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            frame: dict[str, Any] = json.loads(await self._socket.recv())
        return frame

    async def wait_for(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The next frame of this type with these fields; others on the way are dropped."""
        while True:
            frame = await self.next_frame()
            if frame["type"] == kind and all(frame.get(name) == value for name, value in fields.items()):
                return frame


async def type_until_warm(tab: LiveTab, *, repeat_seconds: float = 0.5) -> None:
    """As a page does: says again and again that somebody is typing."""

    async def type_on() -> None:
        for chars in range(1, 1000):
            await tab.send("typing.started", chars=chars)
            await asyncio.sleep(repeat_seconds)

    typing = asyncio.create_task(type_on())
    try:
        await tab.wait_for("warmth", state="warm")
    finally:
        typing.cancel()
        await asyncio.gather(typing, return_exceptions=True)


@asynccontextmanager
async def open_tab(
    server: ChatServer, user: str = "ann", *, assistant: str = "warmcache-guide"
) -> AsyncIterator[LiveTab]:
    headers = {"Cookie": server.users[user].cookie}
    async with websockets.connect(
        server.socket_url,
        origin=server.url,
        additional_headers=headers,
        open_timeout=PATIENCE_SECONDS,
        ping_timeout=PATIENCE_SECONDS,
        # Who has no time to look at frames still takes them.
        max_queue=None,
    ) as socket:
        tab = LiveTab(socket, server.assistants[assistant])
        await tab.wait_for("ready")
        yield tab


@asynccontextmanager
async def open_tabs(servers: Sequence[ChatServer], user: str, *, each: int) -> AsyncIterator[list[list[LiveTab]]]:
    """So many tabs on each server, a few at a time: no server is meant to be stormed by the opening itself."""
    gate = asyncio.Semaphore(OPENING_AT_ONCE)
    async with AsyncExitStack() as stack:

        async def open_one(server: ChatServer) -> LiveTab:
            async with gate:
                return await stack.enter_async_context(open_tab(server, user))

        yield [await asyncio.gather(*(open_one(server) for _ in range(each))) for server in servers]


async def make_ready(server: ChatServer) -> None:
    """Once in its life a process loads what it needs for its first warm-up; a test of times should not see that."""
    async with open_tab(server, assistant="small-talk") as tab:
        await tab.send("typing.started", chars=1)
        await tab.wait_for("warmth")


def calls(server: ChatServer) -> list[dict[str, Any]]:
    """Messages that reached the simulator, warm-ups among them, oldest first."""
    return [exchange for exchange in server.simulator.requests() if exchange["path"] == "/v1/messages"]
