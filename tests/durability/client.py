"""A page as a program: it sends until it is acked, reconnects with its cursor, and takes down whatever it is told."""

import asyncio
import contextlib
import json
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from websockets.exceptions import WebSocketException

from tests.servers.chat_server import LiveUser
from tests.servers.fault_proxy import FaultProxy
from tests.servers.tabs import connect

TERMINAL = {"complete", "stopped", "interrupted", "failed"}
ACK_SECONDS = 4.0
"""Without an ack for so long the message is sent again: with the same id that is harmless."""

RECONNECT_SECONDS = 0.1
PING_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.2


@dataclass(slots=True)
class SeenReply:
    """One reply as frames told it."""

    epoch: str = ""
    seq: int = 0
    text: str = ""
    status: str = ""


@dataclass(slots=True)
class Client:
    """One conversation of one person. `anomalies` are sentences about what must never happen."""

    name: str
    user: LiveUser
    wires: Sequence[FaultProxy]
    assistant_id: int
    rng: random.Random
    conversation_id: str | None = None
    acked: list[str] = field(default_factory=list)
    """Client message ids, in the order in which they were sent."""
    replies: dict[str, SeenReply] = field(default_factory=dict)
    anomalies: list[str] = field(default_factory=list)
    connections: int = 0
    heard: deque[str] = field(default_factory=lambda: deque(maxlen=12))
    """The last frames in short, for the report of a failure."""
    _heard: asyncio.Event = field(default_factory=asyncio.Event)
    _known_acks: set[str] = field(default_factory=set)
    _socket: Any = None

    def __str__(self) -> str:
        replies = {name: (reply.status, reply.epoch, reply.seq) for name, reply in self.replies.items()}
        found = f"{replies}, {self.anomalies}, last heard {list(self.heard)}"
        return f"{self.name}: {len(self.acked)} acked, {self.connections} connections, {found}"

    async def run(self, messages: int) -> None:
        """Sends so many messages, one after another, each as soon as the reply before it has ended."""
        listening = asyncio.create_task(self._stay_connected())
        try:
            for number in range(messages):
                await self._send_until_acked(f"{self.name} says {number}")
                await self._until(self._is_quiet)
        finally:
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening

    async def _send_until_acked(self, text: str) -> None:
        client_message_id = str(uuid4())
        while client_message_id not in self._known_acks:
            place = {"conversation_id": self.conversation_id} if self.conversation_id else {}
            frame = {
                "type": "message.send",
                "client_message_id": client_message_id,
                "assistant_id": None if place else self.assistant_id,
                "text": text,
                **place,
            }
            with contextlib.suppress(OSError, WebSocketException):
                if self._socket is not None:
                    await self._socket.send(json.dumps({k: v for k, v in frame.items() if v is not None}))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ACK_SECONDS if self._socket is not None else RECONNECT_SECONDS):
                    await self._until(lambda: client_message_id in self._known_acks)
        self.acked.append(client_message_id)

    def _is_quiet(self) -> bool:
        ended = [reply for reply in self.replies.values() if reply.status in TERMINAL]
        return len(ended) == len(self.replies) >= len(self.acked)

    async def _until(self, is_so: Any) -> None:
        while not is_so():
            self._heard.clear()
            await self._heard.wait()

    async def _stay_connected(self) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError, WebSocketException):
                await self._listen(self.rng.choice(self.wires))
            self._socket = None
            await asyncio.sleep(RECONNECT_SECONDS * (0.5 + self.rng.random()))

    async def _listen(self, wire: FaultProxy) -> None:
        async with connect(
            wire.url,
            wire.socket_url,
            cookie=self.user.cookie,
            open_timeout=20,
            ping_interval=PING_SECONDS,
            ping_timeout=10 * PING_SECONDS,
            close_timeout=0.2,
        ) as socket:
            self.connections += 1
            if self.conversation_id:
                cursor = self._cursor()
                frame = {"type": "conversation.open", "conversation_id": self.conversation_id, "cursor": cursor}
                await socket.send(json.dumps({k: v for k, v in frame.items() if v is not None}))
            else:
                self._socket = socket
            async for text in socket:
                frame = json.loads(text)
                self._take(frame)
                if frame["type"] == "error" and frame["retryable"] and self._socket is None:
                    return  # the state was refused: as the page, ask again in a moment
                if frame["type"] == "conversation.state":
                    self._socket = socket
                self._heard.set()

    def _cursor(self) -> dict[str, Any] | None:
        """Of the reply that was still running when the connection went."""
        for reply_id, reply in self.replies.items():
            if reply.status not in TERMINAL and reply.seq:
                return {"reply_id": reply_id, "epoch": reply.epoch, "after_seq": reply.seq}
        return None

    def _take(self, frame: dict[str, Any]) -> None:
        self.heard.append(_in_short(frame))
        match frame["type"]:
            case "message.created" | "message.queued":
                self.conversation_id = frame["conversation_id"]
                self._known_acks.add(frame["client_message_id"])
            case "conversation.state":
                self._take_state(frame)
            case "reply.started":
                self.replies[frame["reply_id"]] = SeenReply(epoch=frame["epoch"])
            case "reply.delta" | "reply.block" | "reply.finished":
                self._take_piece(frame)

    def _take_state(self, frame: dict[str, Any]) -> None:
        for message in frame["messages"]:
            if message["role"] == "user" and message["client_message_id"]:
                self._known_acks.add(message["client_message_id"])
            elif frame["recovered"] and (seen := self.replies.get(message["id"])) and seen.seq and not seen.status:
                # What is missing of it follows as frames, its end included.
                continue
            elif message["status"] in TERMINAL:
                seen = self.replies.setdefault(message["id"], SeenReply())
                seen.status, seen.text = message["status"], message["text"]
            elif not frame["reply"] or frame["reply"]["reply_id"] != message["id"]:
                # Written by a process that may be dead: its end will come.
                self.replies.setdefault(message["id"], SeenReply())
        running = frame["reply"]
        if running is None:
            return
        if not frame["recovered"]:
            text = "".join(block["text"] for block in running["blocks"] if block["kind"] == "text")
            self.replies[running["reply_id"]] = SeenReply(epoch=running["epoch"], seq=running["seq"], text=text)

    def _take_piece(self, frame: dict[str, Any]) -> None:
        reply = self.replies.setdefault(frame["reply_id"], SeenReply(epoch=frame["epoch"]))
        if reply.status in TERMINAL:
            if frame["type"] != "reply.finished" or reply.status != frame["status"]:
                self.anomalies.append(f"{frame['type']} {frame['seq']} came after the end of {frame['reply_id']}")
            return
        is_next = (frame["epoch"], frame["seq"]) == (reply.epoch, reply.seq + 1)
        is_end_by_another = frame["type"] == "reply.finished" and frame["status"] == "interrupted"
        if not is_next and not is_end_by_another:
            self.anomalies.append(
                f"{frame['type']} {frame['epoch']}/{frame['seq']} follows {reply.epoch}/{reply.seq} "
                f"in {frame['reply_id']}"
            )
        reply.epoch, reply.seq = frame["epoch"], frame["seq"]
        if frame["type"] == "reply.delta" and frame["kind"] == "text":
            reply.text += frame["text"]
        elif frame["type"] == "reply.finished":
            reply.status = frame["status"]


def _in_short(frame: dict[str, Any]) -> str:
    if frame["type"] != "conversation.state":
        return f"{frame['type']} {frame.get('epoch', '')}/{frame.get('seq', '')} {frame.get('status', '')}".strip()
    running = frame["reply"]
    cursor = f"{running['epoch']}/{running['seq']}" if running else "none"
    return f"state {[m['status'] for m in frame['messages']]} running {cursor} recovered {frame['recovered']}"
