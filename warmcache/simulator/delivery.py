"""Sends one answer: at its simulated time, at the profile's rate, with the requested fault."""

import asyncio
import json
import math
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from warmcache.simulator import sse
from warmcache.simulator.errors import ApiError
from warmcache.simulator.faults import AFTER_FIRST_TOKEN, BEFORE_FIRST_TOKEN, BEFORE_HEADERS, Fault
from warmcache.simulator.journal import Exchange
from warmcache.simulator.replies import Reply

EXCHANGE = web.RequestKey("exchange", Exchange)
_FOR_EVER_SECONDS = 24 * 3600.0
_FLUSH_BYTES = 16 * 1024
_LINGER_NOT_AT_ALL = struct.pack("ii", 1, 0)
_BROKEN_EVENT = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type"\n\n'
_OVERLOADED = sse.encode("error", {"error": {"type": "overloaded_error", "message": "Overloaded"}})


class ConnectionCutError(Exception):
    """The connection was reset on purpose; no answer is possible any more."""


@dataclass(slots=True, kw_only=True)
class Delivery:
    """The response path to one client. `started` is the event loop's time at the request's start."""

    request: web.Request
    exchange: Exchange
    started: float
    headers: dict[str, str]
    released: asyncio.Event
    """Ends a stall early."""
    fault: Fault | None = None

    async def wait_until(self, seconds: float) -> None:
        """Waits until `seconds` after the request's start, so that our own work does not add to the time."""
        delay = self.started + seconds - _now()
        if delay > 0:
            await asyncio.sleep(delay)

    def note(self, moment: str) -> None:
        """Writes a moment into the journal, once."""
        self.exchange.timings_ms.setdefault(moment, round((_now() - self.started) * 1000, 3))

    async def trouble_before_headers(self, *, is_stream: bool) -> None:
        """Performs the faults that happen before a byte of the response is sent."""
        fault = self.fault
        if fault is None:
            return
        if fault.kind == "error_event" and not is_stream:
            raise ApiError(529, "Overloaded")
        if fault.where != BEFORE_HEADERS:
            return
        refusal = fault.refusal()
        if refusal is not None:
            raise refusal
        if fault.kind == "reset":
            self.cut()
        if fault.kind == "stall":
            await self._stall(None)

    def cut(self) -> None:
        """Resets the TCP connection."""
        transport = self.request.transport
        if transport is not None:
            connection = transport.get_extra_info("socket")
            if connection is not None:
                # Close with a reset instead of a clean end, as a crashing peer does.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT_AT_ALL)
            transport.abort()
        raise ConnectionCutError

    async def send_json(self, payload: dict[str, Any]) -> web.StreamResponse:
        """Sends a complete message at once."""
        body = json.dumps(payload).encode()
        fault = self.fault
        if fault is None or fault.where == BEFORE_HEADERS:
            return web.Response(body=body, headers=self.headers, content_type="application/json")
        if fault.kind == "malformed":
            return web.Response(body=body[:-2] + b"{", headers=self.headers, content_type="application/json")
        if fault.kind == "end_early":
            return web.Response(body=b"", headers=self.headers, content_type="application/json")
        return await self._send_json_in_two_parts(body)

    async def _send_json_in_two_parts(self, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={**self.headers, "content-length": str(len(body))})
        response.content_type = "application/json"
        await response.prepare(self.request)
        half = len(body) // 2
        await response.write(body[:half])
        if self.fault is not None and self.fault.kind == "cut":
            await asyncio.sleep(0.01)
            self.cut()
        await self._stall(None)
        await response.write(body[half:])
        return response

    async def send_stream(
        self,
        message: dict[str, Any],
        reply: Reply,
        *,
        begins_seconds: float,
        chars_per_token: float,
        tokens_per_second: float,
    ) -> web.StreamResponse:
        """Sends the reply as events, the first at `begins_seconds` after the start, the others at the given rate."""
        events = sse.events_of(message, reply, chars_per_token=chars_per_token, tokens_per_second=tokens_per_second)
        response = web.StreamResponse(headers={**self.headers, "cache-control": "no-cache"})
        response.content_type = "text/event-stream"
        response.charset = "utf-8"
        await response.prepare(self.request)
        waiting = bytearray()
        for event in events:
            due = begins_seconds + event.after_tokens / tokens_per_second
            strikes = self._strikes(event)
            if waiting and (strikes or len(waiting) > _FLUSH_BYTES or _now() < self.started + due):
                await response.write(bytes(waiting))
                waiting.clear()
            if strikes and await self._break_stream(response):
                return response
            await self.wait_until(due)
            if event.is_content:
                self.note("first_token")
            waiting += event.data
        await response.write(bytes(waiting))
        return response

    def _strikes(self, event: sse.TimedEvent) -> bool:
        """Whether the fault happens now, just before this event."""
        fault = self.fault
        if fault is None or fault.where == BEFORE_HEADERS:
            return False
        if fault.where == BEFORE_FIRST_TOKEN:
            return event.is_content and "first_token" not in self.exchange.timings_ms
        is_last = event.data.startswith(b"event: message_delta")
        return fault.where == AFTER_FIRST_TOKEN and (
            is_last
            or (
                event.is_content
                and "first_token" in self.exchange.timings_ms
                and event.after_tokens >= fault.after_tokens
            )
        )

    async def _break_stream(self, response: web.StreamResponse) -> bool:
        """Performs the fault; returns whether the stream is over. Each fault happens once."""
        fault, self.fault = self.fault, None
        if fault is None:
            return False
        if fault.kind == "cut":
            # Let the bytes before the cut reach the client: a reset would discard them.
            await asyncio.sleep(0.01)
            self.cut()
        if fault.kind == "error_event":
            await response.write(_OVERLOADED)
        elif fault.kind == "malformed":
            await response.write(_BROKEN_EVENT)
        elif fault.kind == "stall":
            self.fault = fault
            await self._stall(response)
            self.fault = None
        return fault.kind != "stall"

    async def _stall(self, stream: web.StreamResponse | None) -> None:
        """Sends nothing, or only pings, for the fault's time or until it is released; then the call continues."""
        fault = self.fault
        if fault is None:
            return
        until = _now() + (_FOR_EVER_SECONDS if fault.seconds is None else fault.seconds)
        pause = fault.ping_seconds or math.inf
        while (left := until - _now()) > 0 and not self.released.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self.released.wait(), min(left, pause))
            if stream is not None and pause < left and not self.released.is_set():
                await stream.write(sse.PING)


def _now() -> float:
    return asyncio.get_running_loop().time()
