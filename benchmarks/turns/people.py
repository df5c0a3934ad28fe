"""Simulated people who chat: each has one socket and one conversation, and does one turn after the other."""

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

import msgspec

from benchmarks.turns import frame_socket
from benchmarks.turns.frame_socket import FrameSocket
from benchmarks.turns.stamps import ReadReply, StreamSpoiled, turn_text

PATIENCE_SECONDS = 60.0


class TurnFailed(Exception):
    """The server has refused a message or given up on a reply, in one sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message and its reply. Times are nanoseconds of the monotonic clock."""

    sent_ns: int
    reply: ReadReply
    bytes_in: int

    @property
    def added_ttft_ms(self) -> float:
        return self.reply.added_ttft_ms(self.sent_ns)


class Person(Protocol):
    tokens_read: int
    """Total so far, over all turns."""

    async def join(self) -> None: ...
    async def turn(self, *, tokens: int, rate: int) -> Turn: ...
    async def leave(self) -> None: ...


class _Frame(msgspec.Struct):
    """The fields that the load reads, of both protocols."""

    type: str
    text: str | None = None
    reply_id: str | None = None
    seq: int | None = None
    conversation_id: str | None = None
    status: str | None = None
    code: str | None = None
    message: str | None = None
    timings: dict[str, int] = msgspec.field(default_factory=dict)


_frames = msgspec.json.Decoder(_Frame)


class _Reader:
    """What both kinds of people share: a socket, and reading a reply from it."""

    token_type: str
    end_type: str

    def __init__(self) -> None:
        self.tokens_read = 0
        self._socket: FrameSocket
        self._reply = ReadReply()
        self._ended: asyncio.Future[None] | None = None

    async def leave(self) -> None:
        await self._socket.close()

    async def _read_reply(self, message: bytes, tokens: int) -> Turn:
        """Raises `TurnFailed` if the server gives up, and `StreamSpoiled` if the reply is not the upstream's."""
        self._reply, self._ended = ReadReply(), asyncio.get_running_loop().create_future()
        bytes_before, sent_ns = self._socket.bytes_in, time.monotonic_ns()
        self._socket.send(message)
        waiting = {self._ended, self._socket.closed}
        await asyncio.wait(waiting, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not self._ended.done():
            how = f"closed ({self._socket.closed})" if self._socket.closed.done() else "silent"
            raise TurnFailed(f"the socket is {how} after {self._reply.tokens} tokens of {tokens}")
        self._ended.result()
        self._reply.require_complete(tokens)
        return Turn(sent_ns=sent_ns, reply=self._reply, bytes_in=self._socket.bytes_in - bytes_before)

    def _take(self, payload: bytes, now_ns: int) -> None:
        frame = _frames.decode(payload)
        if frame.type == self.token_type and self._is_mine(frame):
            before = self._reply.tokens
            try:
                self._reply.take(frame.text or "", now_ns)
            except StreamSpoiled as error:
                self._end(error)
            self.tokens_read += self._reply.tokens - before
        self._note(frame, now_ns)
        if frame.type == self.end_type and self._is_mine(frame):
            self._end(None)

    def _is_mine(self, frame: _Frame) -> bool:
        return True

    def _note(self, frame: _Frame, now_ns: int) -> None:
        """What this kind of person does with a frame beside reading it."""

    def _end(self, error: Exception | None) -> None:
        if self._ended is None or self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)


class TutorialPerson(_Reader):
    """A person at one of the peers."""

    token_type, end_type = "token", "done"

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    async def join(self) -> None:
        self._socket = await frame_socket.connect(self._port, "/ws/", on_frame=self._take)

    async def turn(self, *, tokens: int, rate: int) -> Turn:
        return await self._read_reply(json.dumps({"text": turn_text(tokens=tokens, rate=rate)}).encode(), tokens)


class OurPerson(_Reader):
    """A person on our server. Does what a page does: opens the conversation, sends, acknowledges what was read."""

    token_type, end_type = "reply.delta", "reply.finished"

    def __init__(
        self, port: int, *, cookie: str, assistant_id: int, conversation_id: str | None = None, types: bool = False
    ) -> None:
        super().__init__()
        self._port = port
        self._cookie = cookie
        self._assistant_id = assistant_id
        self._conversation_id = conversation_id
        self._types = types
        self._ack_interval_ns = 0
        self._acked_ns = 0
        self._has_told_ttft = False
        self._sent_ns = 0
        self._reply_id: str | None = None
        self._opened: asyncio.Future[None]

    async def join(self) -> None:
        """Returns after `ready`, with the conversation open if there is one."""
        self._opened = asyncio.get_running_loop().create_future()
        self._socket = await frame_socket.connect(self._port, "/ws/chat/", on_frame=self._take, cookie=self._cookie)
        await asyncio.wait_for(self._opened, PATIENCE_SECONDS)
        if self._conversation_id:
            self._opened = asyncio.get_running_loop().create_future()
            self._tell("conversation.open", conversation_id=self._conversation_id)
            await asyncio.wait_for(self._opened, PATIENCE_SECONDS)

    async def turn(self, *, tokens: int, rate: int) -> Turn:
        place = self._place()
        text = turn_text(tokens=tokens, rate=rate)
        frame = {"type": "message.send", "client_message_id": str(uuid4()), "text": text, **place}
        self._reply_id, self._has_told_ttft = None, False
        if self._types:
            self._tell("typing.started", chars=len(text), **place)
            await asyncio.sleep(0.3)
        self._sent_ns = self._acked_ns = time.monotonic_ns()
        return await self._read_reply(json.dumps(frame).encode(), tokens)

    def _place(self) -> dict[str, Any]:
        if self._conversation_id:
            return {"conversation_id": self._conversation_id}
        return {"assistant_id": self._assistant_id}

    def _is_mine(self, frame: _Frame) -> bool:
        return self._reply_id is not None and frame.reply_id == self._reply_id

    def _note(self, frame: _Frame, now_ns: int) -> None:
        match frame.type:
            case "message.created":
                self._conversation_id = frame.conversation_id
            case "reply.started":
                self._reply_id = frame.reply_id
            case "reply.delta" | "reply.finished":
                self._acknowledge(frame, now_ns)
            case "ready" | "conversation.state":
                self._ack_interval_ns = self._ack_interval_ns or frame.timings["ack_interval_ms"] * 1_000_000
                if not self._opened.done():
                    self._opened.set_result(None)
            case "error":
                self._end(TurnFailed(f"the server says {frame.code}: {frame.message}"))

    def _acknowledge(self, frame: _Frame, now_ns: int) -> None:
        is_last = frame.type == "reply.finished"
        if is_last and frame.status != "complete":
            self._end(TurnFailed(f"the reply is {frame.status}"))
        if not is_last and now_ns - self._acked_ns < self._ack_interval_ns:
            return
        self._acked_ns = now_ns
        told = {} if self._has_told_ttft else {"ttft_ms": (self._reply.first_ns - self._sent_ns) // 1_000_000}
        self._has_told_ttft = True
        self._tell("reply.seen", reply_id=frame.reply_id, seq=frame.seq, **told)

    def _tell(self, kind: str, **fields: object) -> None:
        self._socket.send(json.dumps({"type": kind, **fields}).encode())
