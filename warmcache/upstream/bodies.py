"""The bodies of streamed answers: bytes as they arrive, and a rest in which none are taken from the connection.

The SDK's transport puts four generators around the stream of aiohttp, which cost time for every token and memory for
every stream. `body_of` reads the stream itself where it finds it, and iterates over the response where it does not.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Protocol, cast

import aiohttp
import httpx2


class Body(Protocol):
    async def read(self) -> bytes:
        """All that has arrived, or else the next bytes; empty only at the end."""

    async def rest(self, seconds: float) -> None:
        """Lets bytes gather where they cost nothing."""

    async def aclose(self) -> None: ...


class DirectBody:
    """Of an uncompressed response of aiohttp."""

    __slots__ = ("_response",)

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def read(self) -> bytes:
        return await self._response.content.readany()

    async def rest(self, seconds: float) -> None:
        """The system keeps what arrives: each piece would wake the event loop, be read and be parsed by itself."""
        connection = self._response.connection  # None once the body is complete: the connection may have another user
        transport = connection.transport if connection is not None else None
        if transport is None:
            return
        transport.pause_reading()
        try:
            await asyncio.sleep(seconds)
        finally:
            transport.resume_reading()

    async def aclose(self) -> None:
        """The response owns the connection, and closes it."""


class IteratedBody:
    """Of any other response."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: AsyncGenerator[bytes, None]) -> None:
        self._chunks = chunks

    async def read(self) -> bytes:
        async for chunk in self._chunks:
            if chunk:
                return chunk
        return b""

    async def rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def aclose(self) -> None:
        await self._chunks.aclose()


def body_of(response: httpx2.Response) -> Body:
    """The decompressed body."""
    if response.headers.get("content-encoding", "identity") != "identity":
        return IteratedBody(response.aiter_bytes())
    found = _response_of_aiohttp(response)
    if found is not None:
        return DirectBody(found)
    return IteratedBody(cast(AsyncGenerator[bytes, None], aiter(cast(httpx2.AsyncByteStream, response.stream))))


def _response_of_aiohttp(response: httpx2.Response) -> aiohttp.ClientResponse | None:
    """None for another transport, and for an SDK that wraps its responses in another way."""
    transport_stream: Any = getattr(response.stream, "_stream", None)
    found = getattr(transport_stream, "_aiohttp_response", None)
    return found if isinstance(found, aiohttp.ClientResponse) else None
