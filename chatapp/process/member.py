"""A server process as one of several on the same port: how it obeys its supervisor and reports to it."""

import asyncio
import itertools
import socket
from collections.abc import Callable

from chatapp.process import metrics
from chatapp.process.control_line import ControlLine, News, Order
from chatapp.process.health import health
from warmcache.background.tasks import TaskOwner

REPORT_SECONDS = 5.0
"""Seconds between two reports: a killed process loses what it has counted since its last one."""

ANSWER_SECONDS = 5.0


class Member:
    """Call `join` in the server's event loop before it serves anything."""

    def __init__(self, line_end: socket.socket) -> None:
        self._line_end = line_end
        self._line: ControlLine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks = TaskOwner("member")
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[str]] = {}

    async def join(self, *, drain: Callable[[], None], end: Callable[[], None]) -> None:
        """From now on the process obeys its supervisor, and `/metrics` shows the sum over all processes."""
        health.others_start.set()
        self._loop = asyncio.get_running_loop()
        self._line = await ControlLine.open(self._line_end)
        self._tasks.spawn(self._listen(self._line, drain, end), name="listening")
        self._tasks.spawn(self._report_forever(), name="reports")
        metrics.sum_over_processes(self.metrics_of_all)

    def tell_ready(self) -> None:
        self._say(News.READY)

    async def leave(self) -> None:
        """Sends a last report first, so that no count of this process is lost."""
        self._report()
        await self._tasks.close()
        if self._line is not None:
            await self._line.close()

    def metrics_of_all(self) -> bytes:
        """The sum over all processes, in the text format. Blocks, so call it in a thread; raises `TimeoutError`."""
        assert self._loop is not None  # noqa: S101  set before the first call
        return asyncio.run_coroutine_threadsafe(self._ask(), self._loop).result(ANSWER_SECONDS).encode()

    async def _ask(self) -> str:
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._say(News.ASK, number=number)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await answer
        finally:
            del self._asked[number]

    async def _listen(self, line: ControlLine, drain: Callable[[], None], end: Callable[[], None]) -> None:
        async for message in line.heard():
            match message["kind"]:
                case Order.COMPLETE:
                    health.others_start.clear()
                case Order.DRAIN:
                    drain()
                case Order.END:
                    end()
                case Order.REPORT:
                    self._report()
                case Order.SUM if (answer := self._asked.get(message["number"])) and not answer.done():
                    answer.set_result(message["text"])
        drain()

    async def _report_forever(self) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            self._report()

    def _report(self) -> None:
        self._say(News.REPORT, text=metrics.of_this_process().decode())

    def _say(self, kind: News, **fields: object) -> None:
        if self._line is not None:
            self._line.say(kind, **fields)
