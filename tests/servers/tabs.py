"""A browser tab on a real server: one websocket, its frames as dicts. With two servers, a tab on another process."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import websockets

from tests.frame_parts import FrameJoiner
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ChatServer

OPENING_AT_ONCE = 20
ASSISTANT = "warmcache-guide"
NAMES_A_PLACE = ("typing.started", "typing.stopped", "message.send")


def connect(url: str, socket_url: str, *, cookie: str = "", **options: Any) -> websockets.connect:
    """A socket as the page of the site at `url` opens one; `options` are the library's own. It sends no pings."""
    headers = {"additional_headers": {"Cookie": cookie}} if cookie else {}
    patience = {"open_timeout": PATIENCE_SECONDS, "ping_interval": None}
    # A tab that does not read its frames yet still receives them, whatever their size.
    unbounded = {"max_queue": None, "max_size": None}
    return websockets.connect(
        socket_url, **{"origin": url, "proxy": None, **headers, **patience, **unbounded, **options}
    )


class LiveTab:
    """Writes to one assistant unless another place is named. Keeps every frame that it has read in `frames`."""

    def __init__(self, socket: websockets.ClientConnection, server: ChatServer, assistant: str | None) -> None:
        self.server = server
        self.frames: list[dict[str, Any]] = []
        self._socket = socket
        self._joiner = FrameJoiner()
        self._place = {"assistant_id": server.assistants[assistant]} if assistant else {}

    async def send(self, frame_type: str, **fields: Any) -> None:
        place = self._place if frame_type in NAMES_A_PLACE and "conversation_id" not in fields else {}
        await self.send_raw(json.dumps({"type": frame_type, **place, **fields}, default=str))

    async def send_raw(self, text: str) -> None:
        await self._socket.send(text)

    async def say(self, text: str, **place: Any) -> str:
        """Sends a message; returns its `client_message_id`."""
        client_message_id = str(uuid4())
        await self.send("message.send", client_message_id=client_message_id, text=text, **place)
        return client_message_id

    async def say_and_hear(self, text: str, **place: Any) -> dict[str, Any]:
        """Sends a message; returns its `message.created`."""
        client_message_id = await self.say(text, **place)
        return await self.until("message.created", client_message_id=client_message_id)

    async def read(self) -> dict[str, Any]:
        frame: dict[str, Any] | None = None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while frame is None:
                    frame = self._joiner.take(str(await self._socket.recv()))
        except TimeoutError:
            raise AssertionError(f"nothing more came after {self.frames[-3:]}") from None
        self.frames.append(frame)
        return frame

    async def until(self, frame_type: str, **fields: Any) -> dict[str, Any]:
        """The next frame of this type with these fields; frames before it are only in `frames`."""
        while True:
            frame = await self.read()
            if frame["type"] == frame_type and all(frame.get(name) == value for name, value in fields.items()):
                return frame

    async def all_until(self, frame_type: str) -> list[dict[str, Any]]:
        """Every frame from now on, up to and with the first of this type."""
        start = len(self.frames)
        await self.until(frame_type)
        return self.frames[start:]

    async def rest(self) -> tuple[list[dict[str, Any]], int | None]:
        """Every frame from now on until the server closes the socket, and its close code."""
        start = len(self.frames)
        try:
            while True:
                await self.read()
        except websockets.ConnectionClosed:
            return self.frames[start:], self._socket.close_code

    async def open(self, conversation_id: str, cursor: dict[str, Any] | None = None) -> dict[str, Any]:
        """Opens a conversation; returns its `conversation.state`."""
        await self.send("conversation.open", conversation_id=conversation_id, cursor=cursor)
        while True:
            state = await self.until("conversation.state")
            if state["conversation"]["id"] == conversation_id:
                return state

    async def begin_reply(self, text: str = "A question", **place: Any) -> dict[str, Any]:
        """Sends a message; returns its `reply.started` once the reply shows its first text."""
        await self.say(text, **place)
        started = await self.until("reply.started")
        while (frame := await self.read())["type"] != "reply.delta" or frame["reply_id"] != started["reply_id"]:
            assert frame["type"] != "reply.finished", f"ended before it began: {frame}"
        return started

    def of_reply(self, reply_id: str) -> list[dict[str, Any]]:
        """The numbered frames of one reply, each once, in order of arrival."""
        seen: set[int] = set()
        found = []
        for frame in self.frames:
            if frame.get("reply_id") == reply_id and frame["type"] in ("reply.block", "reply.delta", "reply.finished"):
                if frame["seq"] not in seen:
                    found.append(frame)
                seen.add(frame["seq"])
        return found

    def blocks_of(self, finished: dict[str, Any]) -> dict[int, str]:
        """The text of each block, from the newest `conversation.state` and the frames that follow it."""
        state = [frame for frame in self.frames if frame["type"] == "conversation.state"][-1]
        begun = state["reply"] or {"blocks": state["messages"][-1]["blocks"], "seq": finished["seq"]}
        blocks: dict[int, str] = {block["block"]: block["text"] for block in begun["blocks"]}
        for frame in self.of_reply(finished["reply_id"]):
            if frame["type"] == "reply.delta" and frame["seq"] > begun["seq"]:
                blocks[frame["block"]] = blocks.get(frame["block"], "") + frame["text"]
        return blocks


async def type_until_warm(tab: LiveTab, *, repeat_seconds: float = 0.5) -> None:
    """Repeats the typing frame, as a page does, until the prompt is warm."""

    async def type_on() -> None:
        for chars in range(1, 1000):
            await tab.send("typing.started", chars=chars)
            await asyncio.sleep(repeat_seconds)

    typing = asyncio.create_task(type_on())
    try:
        await tab.until("warmth", state="warm")
    finally:
        typing.cancel()
        await asyncio.gather(typing, return_exceptions=True)


@asynccontextmanager
async def open_tab(
    server: ChatServer, user: str = "ann", *, assistant: str | None = ASSISTANT, **options: Any
) -> AsyncIterator[LiveTab]:
    """A tab that has received `ready`. Without an assistant, it writes to the site's default one."""
    async with connect(server.url, server.socket_url, cookie=server.users[user].cookie, **options) as socket:
        tab = LiveTab(socket, server, assistant)
        await tab.until("ready")
        yield tab


@asynccontextmanager
async def open_tabs(servers: Sequence[ChatServer], user: str, *, each: int) -> AsyncIterator[list[list[LiveTab]]]:
    """Opens `each` tabs on each server, a few at a time, so that the opening itself storms no server."""
    gate = asyncio.Semaphore(OPENING_AT_ONCE)
    async with AsyncExitStack() as stack:

        async def open_one(server: ChatServer) -> LiveTab:
            async with gate:
                return await stack.enter_async_context(open_tab(server, user))

        yield [await asyncio.gather(*(open_one(server) for _ in range(each))) for server in servers]


async def make_ready(server: ChatServer) -> None:
    """Makes the process load what its first warm-up needs, so that a test of times does not measure the loading."""
    async with open_tab(server, assistant="small-talk") as tab:
        await tab.send("typing.started", chars=1)
        await tab.until("warmth")


def calls(server: ChatServer) -> list[dict[str, Any]]:
    """Messages that reached the simulator, including warm-ups, oldest first."""
    return [exchange for exchange in server.simulator.requests() if exchange["path"] == "/v1/messages"]


def shown_text(frames: Sequence[dict[str, Any]]) -> str:
    """The visible text that these frames make up."""
    return "".join(f["text"] for f in frames if f["type"] == "reply.delta" and f["kind"] == "text")


def delete_conversation(server: ChatServer, conversation_id: str, user: str = "ann") -> int:
    """Deletes a conversation as the page's menu does; returns the HTTP status."""
    session = server.users[user].cookie
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", "/", headers={"Cookie": session})
        page = connection.getresponse()
        page.read()
        cookies = [value.split(";")[0] for name, value in page.getheaders() if name.lower() == "set-cookie"]
        token = next(cookie.partition("=")[2] for cookie in cookies if cookie.startswith("csrftoken="))
        headers = {"Cookie": f"{session}; csrftoken={token}", "X-CSRFToken": token}
        connection.request("POST", f"/c/{conversation_id}/delete/", body=b"", headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()
