"""`serve --processes N`: a supervisor that serves no requests itself, and N server processes on one port.

The parent opens the listening socket and every process inherits it. So its queue of connections belongs to no single
process: if one dies or restarts, another accepts the connections that it has not accepted yet. With one socket per
process (SO_REUSEPORT) the system would distribute connections more evenly, but reset those queued at a dead process.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence

from django.conf import settings

from chatapp.process.control_line import ControlLine, News, Order
from chatapp.process.metrics_sum import MetricsSum
from chatapp.process.restarts import MAX_EARLY_DEATHS, Restarts
from warmcache.background.tasks import TaskOwner

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)

KILL_SECONDS = 2.0
"""Extra time for a process to end after its own shutdown limit, or after a second signal."""

REPORT_SECONDS = 1.0
"""If a process does not report within this time, its last report counts."""

LAST_WORDS_SECONDS = 1.0


def command_of_member(listener: socket.socket, line_end: socket.socket) -> list[str]:
    """The command line of this process, changed so that the new process inherits these sockets."""
    sockets = f"{listener.fileno()},{line_end.fileno()}"
    return [sys.executable, *sys.orig_argv[1:], "--member", sockets, "--skip-checks"]


class ServerProcess:
    """One server process, as its supervisor sees it."""

    def __init__(self, process: Process, line: ControlLine) -> None:
        self.pid = process.pid
        self.process = process
        self.line = line
        self.ready_at: float | None = None
        self._waiting: list[asyncio.Future[None]] = []

    async def report(self) -> None:
        """Asks for a report; returns when it has arrived."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self.line.say(Order.REPORT)
        await answer

    def has_reported(self) -> None:
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            if not answer.done():
                answer.set_result(None)

    def drain(self) -> None:
        self.line.say(Order.DRAIN)
        if self.ready_at is None:
            self.process.terminate()


class Supervisor:
    """`run` returns the exit code when all processes have ended."""

    def __init__(
        self,
        listener: socket.socket,
        *,
        count: int,
        environment: Mapping[str, str],
        on_ready: Callable[[], None],
        command: Callable[[socket.socket, socket.socket], Sequence[str]] = command_of_member,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`environment` is added to that of this process. `on_ready` is called once, when all processes serve."""
        self._listener = listener
        self._count = count
        self._environment = {**os.environ, **environment}
        self._on_ready = on_ready
        self._command = command
        self._clock = clock
        self._restarts = Restarts(clock)
        self._processes: dict[int, ServerProcess] = {}
        self._sum = MetricsSum()
        self._tasks = TaskOwner("supervisor")
        self._is_complete = False
        self._ending = asyncio.Event()
        self._exit_code = 0

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for signal_number in SIGNALS:
            loop.add_signal_handler(signal_number, self.take_signal)
        keepers = [self._tasks.spawn(self._keep_one(), name=f"process {n}") for n in range(1, self._count + 1)]
        await self._ending.wait()
        done, late = await asyncio.wait(keepers, timeout=settings.SHUTDOWN_SECONDS + KILL_SECONDS)
        if late:
            self._kill_all()
            await asyncio.wait(late)
        await self._tasks.close()
        for signal_number in SIGNALS:
            loop.remove_signal_handler(signal_number)
        return self._exit_code

    def take_signal(self) -> None:
        """The first one ends all processes gracefully, the second one at once."""
        if not self._ending.is_set():
            self._drain_all()
            return
        for server in self._processes.values():
            server.line.say(Order.END)
        asyncio.get_running_loop().call_later(KILL_SECONDS, self._kill_all)

    def _drain_all(self) -> None:
        self._ending.set()
        for server in self._processes.values():
            server.drain()

    def _kill_all(self) -> None:
        for server in self._processes.values():
            logger.error("Server process %d did not end in time and is killed.", server.pid)
            self._exit_code = 1
            server.process.kill()

    async def _keep_one(self) -> None:
        """Starts a process, and starts it again whenever it has died."""
        while not self._ending.is_set():
            try:
                server = await self._start()
            except OSError as error:
                self._give_up(f"A server process could not be started ({error.strerror or error}).")
                return
            await self._live(server)
            if not self._ending.is_set():
                await self._rest_after(server)

    async def _start(self) -> ServerProcess:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *self._command(self._listener, theirs),
                stdin=DEVNULL,
                pass_fds=(self._listener.fileno(), theirs.fileno()),
                env=self._environment,
                # The supervisor passes a Ctrl-C on itself.
                process_group=0,
            )
        server = self._processes[process.pid] = ServerProcess(process, await ControlLine.open(ours))
        if self._is_complete:
            server.line.say(Order.COMPLETE)
        if self._ending.is_set():
            server.drain()
        return server

    async def _live(self, server: ServerProcess) -> None:
        """From a process's start to its end."""
        listening = self._tasks.spawn(self._listen(server), name=f"line of {server.pid}")
        exit_code = await server.process.wait()
        await asyncio.wait({listening}, timeout=LAST_WORDS_SECONDS)
        listening.cancel()
        await server.line.close()
        del self._processes[server.pid]
        self._sum.ended(server.pid, is_restarted=not self._ending.is_set())
        if self._ending.is_set() and exit_code and server.ready_at is not None:
            self._exit_code = 1

    async def _rest_after(self, server: ServerProcess) -> None:
        """Waits before the next start, or ends all processes if none should follow."""
        how = _how_it_ended(server.process.returncode or 0)
        pause = self._restarts.pause_after_death(ready_at=server.ready_at)
        if pause is None:
            self._give_up(
                f"Server processes died {MAX_EARLY_DEATHS} times in a row right after their start, the last one with "
                f"{how}: see the lines above. The others are ended, too."
            )
            return
        logger.error("Server process %d ended with %s; another one is started in %.1f s.", server.pid, how, pause)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), pause)

    def _give_up(self, why: str) -> None:
        logger.critical("%s", why)
        self._exit_code = 1
        self._drain_all()

    async def _listen(self, server: ServerProcess) -> None:
        async for message in server.line.heard():
            match message["kind"]:
                case News.READY:
                    server.ready_at = self._clock()
                    self._note_ready()
                case News.REPORT:
                    self._sum.report(server.pid, message["text"])
                    server.has_reported()
                case News.ASK:
                    self._tasks.spawn(self._answer(server, message["number"]), name="metrics")

    def _note_ready(self) -> None:
        ready = [server for server in self._processes.values() if server.ready_at is not None]
        if self._is_complete or len(ready) < self._count:
            return
        self._is_complete = True
        for server in ready:
            server.line.say(Order.COMPLETE)
        self._on_ready()

    async def _answer(self, asker: ServerProcess, number: int) -> None:
        """Answers with the sum over all processes, after asking each for a new report."""
        reports = [asyncio.ensure_future(server.report()) for server in self._processes.values()]
        _, late = await asyncio.wait(reports, timeout=REPORT_SECONDS)
        for report in late:
            report.cancel()
        asker.line.say(Order.SUM, number=number, text=self._sum.text())


def _how_it_ended(exit_code: int) -> str:
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
