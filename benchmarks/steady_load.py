"""People who chat for minutes through a proxy: each keeps a socket, comes back when it is lost, and sends again what
was not acknowledged, as the page does. Counts what must not happen."""

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.request import urlopen
from uuid import uuid4

import websockets

from tests.servers.chat_server import ChatServer, LiveUser
from tests.servers.tabs import connect

PAUSE_SECONDS = 20.0
PEOPLE = 8
"""Each has many tabs."""
HEALTH_SECONDS = 1.0
HEALTH_TIMEOUT_SECONDS = 4.0
ACKS = ("message.created", "message.queued")
LOST = (OSError, websockets.WebSocketException, TimeoutError)


def names_of_people() -> tuple[str, ...]:
    return tuple(f"person{number}" for number in range(PEOPLE))


class RoundRobin:
    """What a proxy without sticky sessions does: each connection goes to the next server whose `/readyz` says 200."""

    def __init__(self, servers: Sequence[ChatServer]) -> None:
        self._servers = servers
        self._ready = {server.port for server in servers}
        self._turns = itertools.count()
        self._watchers: list[asyncio.Task[None]] = []
        self._carrying: set[asyncio.Task[None]] = set()
        self._links: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/chat/"

    async def __aenter__(self) -> "RoundRobin":
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        self._watchers = [asyncio.create_task(self._watch(server)) for server in self._servers]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._watchers:
            task.cancel()
        for link in self._links:
            link.transport.abort()
        await asyncio.gather(*self._watchers, *self._carrying, return_exceptions=True)

    def cut_one(self) -> None:
        """Breaks somebody's connection, as a network does."""
        if self._links:
            random.choice(list(self._links)).transport.abort()  # noqa: S311 - no secret

    async def _watch(self, server: ChatServer) -> None:
        while True:
            is_ready = await asyncio.to_thread(_is_ready, server)
            (self._ready.add if is_ready else self._ready.discard)(server.port)
            await asyncio.sleep(HEALTH_SECONDS)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)
        self._links.add(writer)
        with suppress(OSError):
            behind = await self._connect()
            await asyncio.gather(_pump(reader, behind[1]), _pump(behind[0], writer))
        self._links.discard(writer)
        writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A server that refuses the connection is passed over, as every proxy does."""
        ports = sorted(self._ready) or [server.port for server in self._servers]
        first = next(self._turns)
        for number in range(len(ports)):
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", ports[(first + number) % len(ports)])
        raise ConnectionRefusedError


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _is_ready(server: ChatServer) -> bool:
    try:
        with urlopen(f"{server.url}/readyz", timeout=HEALTH_TIMEOUT_SECONDS) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


@dataclass(slots=True)
class Tally:
    sent: list[str] = field(default_factory=list)
    acked: set[str] = field(default_factory=set)
    ends: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    close_codes: Counter[int] = field(default_factory=Counter)
    away_seconds: list[float] = field(default_factory=list)
    """Of each socket that was lost: until it was `ready` again."""


class Person:
    """One tab: a message every `PAUSE_SECONDS`, all in one conversation."""

    def __init__(self, proxy: RoundRobin, user: LiveUser, assistant_id: int, tally: Tally) -> None:
        self._proxy = proxy
        self._user = user
        self._place: dict[str, Any] = {"assistant_id": assistant_id}
        self._tally = tally
        self._waiting: dict[str, str] = {}
        self._lost_at: float | None = None
        self._socket: websockets.ClientConnection | None = None

    async def live(self) -> None:
        """Until it is cancelled."""
        self._writing = writing = asyncio.create_task(self._write())
        try:
            while True:
                with suppress(*LOST):
                    await self._stay()
                self._lost_at = self._lost_at or time.monotonic()
                self._socket = None
                await asyncio.sleep(random.uniform(0.2, 1.5))  # noqa: S311 - no secret
        finally:
            writing.cancel()

    def fall_silent(self) -> None:
        """Sends nothing new, but still what is not acknowledged."""
        self._writing.cancel()

    async def _stay(self) -> None:
        async with connect(self._proxy.url, self._proxy.socket_url, cookie=self._user.cookie) as socket:
            try:
                async for text in socket:
                    await self._take(socket, json.loads(text))
            finally:
                if socket.close_code is not None:
                    self._tally.close_codes[socket.close_code] += 1

    async def _take(self, socket: websockets.ClientConnection, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "ready":
            self._back()
            await self._tell(socket, "conversation.open", **{"conversation_id": None, **self._place})
        elif kind == "conversation.state":
            self._socket = socket
            for client_message_id, text in list(self._waiting.items()):
                await self._send(client_message_id, text)
        elif kind in ACKS and self._waiting.pop(frame["client_message_id"], None) is not None:
            self._place = {"conversation_id": frame["conversation_id"]}
            self._tally.acked.add(frame["client_message_id"])
        elif kind == "reply.finished":
            self._tally.ends[frame["status"]] += 1
        elif kind == "error":
            self._tally.errors[frame["code"]] += 1

    def _back(self) -> None:
        if self._lost_at is not None:
            self._tally.away_seconds.append(time.monotonic() - self._lost_at)
        self._lost_at = None

    async def _write(self) -> None:
        await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))  # noqa: S311 - no secret
        for number in itertools.count(1):
            # In a new chat the first answer tells the conversation's id, under which the next message belongs.
            if "conversation_id" in self._place or not self._waiting:
                client_message_id = str(uuid4())
                self._tally.sent.append(client_message_id)
                self._waiting[client_message_id] = f"Message {number}"
                await self._send(client_message_id, self._waiting[client_message_id])
            await asyncio.sleep(PAUSE_SECONDS)

    async def _send(self, client_message_id: str, text: str) -> None:
        if self._socket is not None:
            place = {"conversation_id": None, **self._place}
            await self._tell(self._socket, "message.send", client_message_id=client_message_id, text=text, **place)

    async def _tell(self, socket: websockets.ClientConnection, kind: str, **fields: Any) -> None:
        with suppress(*LOST):
            await socket.send(json.dumps({"type": kind, **fields}))
