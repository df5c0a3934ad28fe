"""The messages between a supervisor and each of its server processes: one JSON object per line, over a socket pair."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from enum import StrEnum, auto
from typing import Any, Self

MAX_LINE_BYTES = 16 * 1024 * 1024
LAST_WORDS_SECONDS = 0.3
"""Shorter than the time that the shutdown's schedule leaves after its last step."""


class Order(StrEnum):
    """What the supervisor says to a server process."""

    COMPLETE = auto()
    """All processes are ready, so this one may report itself as ready."""
    DRAIN = auto()
    """Begin the graceful shutdown; a closed line, after the supervisor's death, means the same."""
    END = auto()
    """End at once."""
    REPORT = auto()
    """Send a report now."""
    SUM = auto()
    """The answer to `News.ASK`: the same `number`; `text`: the metrics of all processes."""


class News(StrEnum):
    """What a server process says to its supervisor."""

    READY = auto()
    """It serves."""
    REPORT = auto()
    """`text`: its metrics."""
    ASK = auto()
    """`number`: wants the sum."""


class ControlLine:
    """One end of the line. Owned by the running event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Self:
        """Takes the socket over."""
        end.setblocking(False)
        return cls(*await asyncio.open_connection(sock=end, limit=MAX_LINE_BYTES))

    def say(self, kind: Order | News, **fields: Any) -> None:
        """Never waits and never raises: on a closed line it does nothing."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps({"kind": kind, **fields}).encode() + b"\n")

    async def heard(self) -> AsyncIterator[dict[str, Any]]:
        """Each message, until the other end is closed or its process has died."""
        while True:
            try:
                line = await self._reader.readline()
            except OSError:
                return
            if not line.endswith(b"\n"):
                return
            yield json.loads(line)

    async def close(self) -> None:
        """Returns when everything is sent, or the other end does not take it in time."""
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), LAST_WORDS_SECONDS)
