"""A browser tab on a real server: its socket, and every frame it got. With two servers, a tab on another process."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import websockets

from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ChatServer


class LiveTab:
    def __init__(self, socket: websockets.ClientConnection, server: ChatServer) -> None:
        self._socket = socket
        self.server = server
        self.frames: list[dict[str, Any]] = []

    async def send(self, kind: str, **fields: Any) -> None:
        await self._socket.send(json.dumps({"type": kind, **fields}, default=str))

    async def say(self, text: str, **place: Any) -> str:
        client_message_id = str(uuid4())
        await self.send("message.send", client_message_id=client_message_id, text=text, **place)
        return client_message_id

    async def read(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                frame: dict[str, Any] = json.loads(await self._socket.recv())
        except TimeoutError:
            raise AssertionError(f"nothing more came after {self.frames[-3:]}") from None
        self.frames.append(frame)
        return frame

    async def until(self, frame_type: str, **fields: Any) -> dict[str, Any]:
        """The next frame of this type with these fields; others on the way are kept in `frames`."""
        while True:
            frame = await self.read()
            if frame["type"] == frame_type and all(frame.get(name) == value for name, value in fields.items()):
                return frame

    async def open(self, conversation_id: str, cursor: dict[str, Any] | None = None) -> dict[str, Any]:
        """Gives the `conversation.state`."""
        await self.send("conversation.open", conversation_id=conversation_id, cursor=cursor)
        while True:
            state = await self.until("conversation.state")
            if state["conversation"]["id"] == conversation_id:
                return state

    async def begin_reply(self, text: str = "A question", **place: Any) -> dict[str, Any]:
        """Sends a message; gives its `reply.started` once the reply has begun to show something."""
        place = place or {"assistant_id": self.server.assistants["warmcache-guide"]}
        await self.say(text, **place)
        started = await self.until("reply.started")
        while (frame := await self.read())["type"] != "reply.delta" or frame["reply_id"] != started["reply_id"]:
            assert frame["type"] != "reply.finished", f"ended before it began: {frame}"
        return started

    def of_reply(self, reply_id: str) -> list[dict[str, Any]]:
        """The numbered frames of one reply, each once, in the order of their coming."""
        seen: set[int] = set()
        found = []
        for frame in self.frames:
            if frame.get("reply_id") == reply_id and frame["type"] in ("reply.block", "reply.delta", "reply.finished"):
                if frame["seq"] not in seen:
                    found.append(frame)
                seen.add(frame["seq"])
        return found

    def blocks_of(self, finished: dict[str, Any]) -> dict[int, str]:
        """What the newest `conversation.state`, and the frames that follow what it says, add up to."""
        state = [frame for frame in self.frames if frame["type"] == "conversation.state"][-1]
        begun = state["reply"] or {"blocks": state["messages"][-1]["blocks"], "seq": finished["seq"]}
        blocks: dict[int, str] = {block["block"]: block["text"] for block in begun["blocks"]}
        for frame in self.of_reply(finished["reply_id"]):
            if frame["type"] == "reply.delta" and frame["seq"] > begun["seq"]:
                blocks[frame["block"]] = blocks.get(frame["block"], "") + frame["text"]
        return blocks


@asynccontextmanager
async def open_tab(server: ChatServer, user: str = "ann") -> AsyncIterator[LiveTab]:
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
        tab = LiveTab(socket, server)
        await tab.until("ready")
        yield tab


def shown_text(frames: list[dict[str, Any]]) -> str:
    """The visible text that these frames add up to."""
    return "".join(f["text"] for f in frames if f["type"] == "reply.delta" and f["kind"] == "text")


def delete_conversation(server: ChatServer, conversation_id: str, user: str = "ann") -> int:
    """As the page's menu does; gives the HTTP status."""
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
