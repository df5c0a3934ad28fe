"""What a supervisor and each of its server processes say to each other: JSON objects, one a line, over a socket pair.

| from the supervisor | to a server process |
|---|---|
| `complete` | all processes are ready: this one may say so, too |
| `drain` | begin the graceful shutdown; so does the end of the line, when the supervisor has died |
| `end` | end at once |
| `report` | send a `report` now |
| `sum` | the answer to `ask`: `number` as asked, `text` the metrics of all processes |

| from a server process | to the supervisor |
|---|---|
| `ready` | it serves |
| `report` | `text`: its metrics |
| `ask` | `number`: wants the `sum` |
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any, Self

MAX_LINE_BYTES = 16 * 1024 * 1024
LAST_WORDS_SECONDS = 0.3
"""Shorter than what the shutdown's schedule leaves for its end."""


class ControlLine:
    """One end. Owned by the running event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Self:
        """Takes the socket over."""
        end.setblocking(False)
        return cls(*await asyncio.open_connection(sock=end, limit=MAX_LINE_BYTES))

    def say(self, kind: str, **fields: Any) -> None:
        """Never waits and never raises: a line that has ended takes no more words."""
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
        """Returns when what was said is on its way, or the other end does not take it."""
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), LAST_WORDS_SECONDS)
