"""A TCP proxy whose faults a test controls: latency, drip, cut, reset, half-open, refused. Loopback only, own thread.

with FaultProxy(server.port) as wire:
    ... wire.url, wire.socket_url ...
    wire.cut()            # every connection is reset, new ones are taken
    wire.freeze()         # half-open: nothing passes and nobody is told, until `mend`
    wire.slow(latency_seconds=0.2, bytes_per_second=1000)
    wire.retarget(other.port)
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from tests.servers import PATIENCE_SECONDS

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
CHUNK_BYTES = 16 * 1024
DRIP_BYTES = 64


class FaultProxy:
    """Forwards bytes both ways until a fault is set. Its methods may be called from any thread."""

    def __init__(self, target: int | Path) -> None:
        """`target`: a port of this machine, or the path of a Unix socket."""
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy", daemon=True)
        self._links: set[_Link] = set()
        self._refuses = False
        self._latency_seconds = 0.0
        self._bytes_per_second = 0
        self._flows: asyncio.Event
        self._server: asyncio.Server
        self.port = 0
        self.connections = 0
        """Connections accepted so far."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/chat/"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(PATIENCE_SECONDS)
        return self

    def __exit__(self, *exc: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(PATIENCE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()

    def cut(self, *, stay_cut: bool = False) -> None:
        """Resets every connection, as a lost network does. With `stay_cut` it also resets new ones, until `mend`."""
        self._now(lambda: self._cut(stay_cut=stay_cut))

    def freeze(self) -> None:
        """Half-open: connections stay open, nothing passes either way, and neither end is told."""
        self._now(lambda: self._flows.clear())

    def slow(self, *, latency_seconds: float = 0.0, bytes_per_second: int = 0) -> None:
        """From now on each piece arrives later, at no more than `bytes_per_second` each way (0: no limit)."""
        self._now(lambda: self._set_pace(latency_seconds, bytes_per_second))

    def retarget(self, target: int | Path) -> None:
        """New connections go to another server, as after a failover; old ones stay where they are."""
        self._target = target

    def mend(self) -> None:
        """Removes all faults; what was held back passes now."""
        self._now(self._mend)

    def _now(self, act: Callable[[], None]) -> None:
        done = threading.Event()

        def run() -> None:
            act()
            done.set()

        self._loop.call_soon_threadsafe(run)
        if not done.wait(PATIENCE_SECONDS):
            raise TimeoutError("the wire does not answer")

    def _cut(self, *, stay_cut: bool) -> None:
        self._refuses = stay_cut
        for link in list(self._links):
            link.reset()

    def _set_pace(self, latency_seconds: float, bytes_per_second: int) -> None:
        self._latency_seconds, self._bytes_per_second = latency_seconds, bytes_per_second

    def _mend(self) -> None:
        self._refuses = False
        self._set_pace(0.0, 0)
        self._flows.set()

    async def _listen(self) -> None:
        self._flows = asyncio.Event()
        self._flows.set()
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        self._mend()
        self._cut(stay_cut=True)
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._refuses:
            _reset(near)
            return
        try:
            far_reader, far = await self._reach()
        except OSError:
            _reset(near)
            return
        link = _Link(near, far)
        self._links.add(link)
        try:
            await asyncio.gather(self._pass_on(near_reader, far), self._pass_on(far_reader, near))
        except (OSError, asyncio.CancelledError):
            # A stream server logs cancelled handlers as errors.
            link.reset()
        finally:
            self._links.discard(link)
            link.close()

    async def _reach(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, Path):
            return await asyncio.open_unix_connection(self._target)
        return await asyncio.open_connection("127.0.0.1", self._target)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(DRIP_BYTES if self._bytes_per_second else CHUNK_BYTES):
            await asyncio.sleep(self._latency_seconds)
            if self._bytes_per_second:
                await asyncio.sleep(len(data) / self._bytes_per_second)
            await self._flows.wait()
            sink.write(data)
            await sink.drain()
        with contextlib.suppress(OSError):
            sink.write_eof()


class _Link:
    """One connection through the proxy: its two ends."""

    def __init__(self, *ends: asyncio.StreamWriter) -> None:
        self._ends = ends

    def reset(self) -> None:
        for end in self._ends:
            _reset(end)

    def close(self) -> None:
        for end in self._ends:
            end.close()


def _reset(end: asyncio.StreamWriter) -> None:
    """Ends the connection with a RST instead of a FIN."""
    raw = end.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    end.transport.abort()
