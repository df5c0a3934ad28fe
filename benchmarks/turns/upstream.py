"""The stamped upstream: the part of the Messages API that a chat uses, as cheap as possible.

Run as `python -m benchmarks.turns.upstream`; it prints its port and ends when its standard input ends. From
`POST /hurry` to `POST /calm` every stream ends at once with all its tokens.
"""

import asyncio
import contextlib
import hashlib
import json
import sys
import time
from collections.abc import Iterator

import msgspec

from benchmarks.turns.stamps import token, turn_of

BURST_TOKENS = 16
"""Events written at a time by a stream that goes as fast as possible."""
BYTES_PER_TOKEN = 4
TOKEN_EVENT = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}\n\n'
)
HEAD_END = b"\r\n\r\n"
PREFIX_START_BYTES = 400
"""How much of the messages is compared: enough to tell one conversation from another."""


class Call(msgspec.Struct):
    model: str = ""
    max_tokens: int = 4096
    stream: bool = False
    system: msgspec.Raw = msgspec.Raw(b"")
    messages: msgspec.Raw = msgspec.Raw(b"")


_calls = msgspec.json.Decoder(Call)


class Prompts:
    """The prompts seen so far, which are read from the cache."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def usage(self, call: Call, body: bytes) -> dict[str, int]:
        start = bytes(call.system) + bytes(call.messages)[:PREFIX_START_BYTES]
        digest = hashlib.blake2b(start, digest_size=16).digest()
        tokens, is_marked = len(body) // BYTES_PER_TOKEN, b'"cache_control"' in body
        is_read = is_marked and digest in self._seen
        if is_marked:
            self._seen.add(digest)
        cached = max(0, tokens - 10) if is_marked else 0
        return {
            "input_tokens": tokens - cached,
            "cache_read_input_tokens": cached if is_read else 0,
            "cache_creation_input_tokens": 0 if is_read else cached,
            "output_tokens": 0,
        }


class Upstream:
    def __init__(self) -> None:
        self.prompts = Prompts()
        self.hurries = False


class Connection(asyncio.Protocol):
    """One client's connection: requests come one after the other, and a task answers each."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._buffer = bytearray()
        self._wanted_bytes = 0
        self._answer: asyncio.Task[None] | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None:
            self._answer.cancel()

    def pause_writing(self) -> None:
        self._flows.clear()

    def resume_writing(self) -> None:
        self._flows.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) < self._wanted_bytes:
            return
        head_end = self._buffer.find(HEAD_END)
        if head_end < 0:
            return
        head = bytes(self._buffer[:head_end]).decode()
        self._wanted_bytes = head_end + len(HEAD_END) + content_length(head)
        if len(self._buffer) < self._wanted_bytes:
            return
        arrival_ns = time.monotonic_ns()
        body = bytes(self._buffer[head_end + len(HEAD_END) : self._wanted_bytes])
        del self._buffer[: self._wanted_bytes]
        self._wanted_bytes = 0
        self._answer = asyncio.get_running_loop().create_task(self._respond(head, body, arrival_ns))

    async def _respond(self, head: str, body: bytes, arrival_ns: int) -> None:
        path = head.split(" ", 2)[1].partition("?")[0]
        if path in ("/hurry", "/calm"):
            self._upstream.hurries = path == "/hurry"
            self._send_json({})
        elif path.startswith("/v1/models"):
            self._send_json({"data": [], "has_more": False, "first_id": None, "last_id": None})
        elif path.endswith("/count_tokens"):
            self._send_json({"input_tokens": len(body) // BYTES_PER_TOKEN})
        else:
            await self._answer_message(body, arrival_ns)

    async def _answer_message(self, body: bytes, arrival_ns: int) -> None:
        call = _calls.decode(body)
        usage = self._upstream.prompts.usage(call, body)
        message = {
            "id": f"msg_{arrival_ns}",
            "type": "message",
            "role": "assistant",
            "model": call.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        tokens, rate = turn_of(body) or (3, 0)
        if call.stream:
            await self._stream(message, tokens, rate, arrival_ns)
            return
        if call.max_tokens:
            message["content"] = [{"type": "text", "text": "A title"}]
        self._send_json(message | {"stop_reason": "end_turn" if call.max_tokens else "max_tokens"})

    async def _stream(self, message: dict[str, object], tokens: int, rate: int, arrival_ns: int) -> None:
        head = (
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nrequest-id: req_stamped\r\nx-simulator: stamped\r\n"
        )
        self._transport.write(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        self._write_events(
            event("message_start", {"message": message})
            + event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})
        )
        await (self._pace(tokens, rate, arrival_ns) if rate else self._pour(range(tokens), arrival_ns))
        delta = {"stop_reason": "end_turn", "stop_sequence": None}
        self._write_events(
            event("content_block_stop", {"index": 0})
            + event("message_delta", {"delta": delta, "usage": {"output_tokens": tokens}})
            + event("message_stop", {})
        )
        self._transport.write(b"0\r\n\r\n")

    async def _pace(self, tokens: int, rate: int, arrival_ns: int) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for index in range(tokens):
            pause = began + index / rate - loop.time()
            if self._upstream.hurries:
                await self._pour(range(index, tokens), arrival_ns)
                return
            if pause > 0:
                await asyncio.sleep(pause)
            self._write_events(token_event(index, arrival_ns))

    async def _pour(self, indexes: range, arrival_ns: int) -> None:
        for some in in_bursts(indexes):
            await self._flows.wait()
            self._write_events(b"".join(token_event(index, arrival_ns) for index in some))
            await asyncio.sleep(0)

    def _write_events(self, events: bytes) -> None:
        self._transport.write(b"%x\r\n%b\r\n" % (len(events), events))

    def _send_json(self, data: object) -> None:
        body = json.dumps(data).encode()
        head = (
            f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-simulator: stamped\r\ncontent-length: {len(body)}"
        )
        self._transport.write(head.encode() + HEAD_END + body)


def content_length(head: str) -> int:
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0


def event(kind: str, data: dict[str, object]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()


def token_event(index: int, arrival_ns: int) -> bytes:
    return TOKEN_EVENT % token(index, time.monotonic_ns(), arrival_ns).encode()


def in_bursts(indexes: range) -> Iterator[range]:
    for start in range(0, len(indexes), BURST_TOKENS):
        yield indexes[start : start + BURST_TOKENS]


async def main() -> None:
    loop = asyncio.get_running_loop()
    upstream, ended = Upstream(), asyncio.Event()
    server = await loop.create_server(lambda: Connection(upstream), "127.0.0.1", 0, backlog=1000)
    loop.add_reader(sys.stdin, ended.set)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
