"""The graceful shutdown: one schedule, from the signal to the end of the process.

Every step has a time limit. A step that exceeds it is cut off, the log says what is lost, and the next step runs: even
if a database or Redis hangs, every socket is closed with 4412. The limits are for a shutdown of 30 s; another
`SHUTDOWN_SECONDS` scales all of them.

A page whose socket is closed with 4412 reconnects at once to another process, or to the next one here. To avoid a
reconnect storm, sockets close over half of the first step, idle ones first; a socket that reads a reply closes after
the end of that reply.
"""

import asyncio
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from django.conf import settings

from chatapp import events
from chatapp.process import housekeeping, open_sockets
from chatapp.process.open_sockets import OpenSocket
from chatapp.protocol import CLOSE_RESTARTING
from chatapp.quotas import common, common_places
from chatapp.replies import actions, registry, traces
from warmcache import services as warmcache

logger = logging.getLogger(__name__)

USUAL_SECONDS = 30.0
"""The total for which the limits below are written, and the default of `SHUTDOWN_SECONDS`."""

LEAVE_SECONDS = 0.5
"""Time after the last step: the event loop ends, and Python shuts down."""

PAUSE_SECONDS = 0.05
FLUSH_SHARE = 0.75
"""The share of the ledger's step for writing; the rest is for closing its connections."""

BoundedCall = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`run` gets its limit in seconds. `lost` completes the sentence "what is lost if it takes longer"."""

    name: str
    seconds: float
    run: BoundedCall
    lost: str


class Schedule:
    """Steps that run one after the other; raises `ValueError` if they may take longer than promised."""

    def __init__(self, steps: Sequence[Step], *, promised_seconds: float) -> None:
        self.steps = tuple(steps)
        self._cut_off: set[asyncio.Task[None]] = set()
        if self.total_seconds > promised_seconds + 1e-6:
            raise ValueError(f"The shutdown may take {self.total_seconds:g} s; {promised_seconds:g} s are promised.")

    @property
    def total_seconds(self) -> float:
        """The longest time that all steps can take."""
        return sum(step.seconds for step in self.steps)

    async def run(self) -> None:
        """Never raises, and always returns in time, whatever the steps do."""
        for step in self.steps:
            await self._run_step(step)

    async def _run_step(self, step: Step) -> None:
        task = asyncio.ensure_future(step.run(step.seconds))
        done, _ = await asyncio.wait({task}, timeout=step.seconds)
        if not done:
            logger.warning("Shutdown: %r was cut off after %.1f s. Lost: %s.", step.name, step.seconds, step.lost)
            # The step may take long to react to the cancellation; nobody waits for it.
            self._cut_off.add(task)
            task.add_done_callback(_end_of_cut_off)
            task.cancel()
        elif error := task.exception():
            logger.error("Shutdown: %r failed. Lost: %s.", step.name, step.lost, exc_info=error)


def of_server(say_goodbye: BoundedCall) -> Schedule:
    """The schedule of our own server; `say_goodbye` returns when no socket is open any more."""
    return _schedule(
        Step(
            name="running replies finish",
            seconds=20.0,
            run=let_replies_finish,
            lost="nothing yet: they are interrupted next",
        ),
        _interrupt_replies(),
        Step(
            name="last frames are read",
            seconds=0.5,
            run=let_readers_hear_the_end,
            lost="their readers find the ends of replies stored when they reconnect",
        ),
        Step(
            name="sockets are told to reconnect",
            seconds=1.5,
            run=close_sockets,
            lost="the pages that were not told reconnect by themselves, a little later",
        ),
        Step(
            name="sockets are closed",
            seconds=1.5,
            run=say_goodbye,
            lost="what their browsers sent in the last moment",
        ),
        *_close_everything(),
    )


def of_application() -> Schedule:
    """The schedule on another ASGI server, which closes the sockets before it sends the shutdown event."""
    return _schedule(_interrupt_replies(), *_close_everything())


def _interrupt_replies() -> Step:
    return Step(
        name="replies are interrupted",
        seconds=3.0,
        run=interrupt_replies,
        lost="the ends of some replies: another process gives them one, with the text of their last checkpoint",
    )


def _close_everything() -> tuple[Step, ...]:
    return (
        Step(
            name="the ledger is flushed",
            seconds=2.0,
            run=flush_ledger,
            lost="counters of skipped warm-ups, rows and traces not yet sent",
        ),
        Step(
            name="connections are closed",
            seconds=1.0,
            run=close_connections,
            lost="nothing: the system closes them",
        ),
    )


def _schedule(*steps: Step) -> Schedule:
    """Scales the limits to `SHUTDOWN_SECONDS`."""
    scale = settings.SHUTDOWN_SECONDS / USUAL_SECONDS
    scaled = [Step(name=step.name, seconds=step.seconds * scale, run=step.run, lost=step.lost) for step in steps]
    return Schedule(scaled, promised_seconds=settings.SHUTDOWN_SECONDS - LEAVE_SECONDS * scale)


async def let_replies_finish(
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Returns when no reply is written here and every socket is closed, or shortly before its limit."""
    actions.leave_the_queue()
    if count := registry.count():
        words = "%d replies are being written and may take up to %.0f s to end. A second signal ends them now."
        logger.warning(words, count, seconds)
    deadline = clock() + seconds - 2 * PAUSE_SECONDS
    at_once = math.ceil(len(open_sockets.listed()) * PAUSE_SECONDS / (seconds / 2))
    while clock() < deadline:
        sockets, is_writing = open_sockets.listed(), registry.count() > 0
        if not sockets and not is_writing:
            return
        free = [s for s in sockets if not s.is_working and not (is_writing and s.is_reading)]
        for socket in free[:at_once]:
            await _close(socket)
        await sleep(PAUSE_SECONDS)


async def interrupt_replies(seconds: float) -> None:
    """Ends the running replies as `interrupted`, with their text stored."""
    await registry.interrupt_all()


async def let_readers_hear_the_end(
    seconds: float, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    while any(socket.is_reading for socket in open_sockets.listed()):
        await sleep(PAUSE_SECONDS)


async def close_sockets(seconds: float) -> None:
    """Closes all at once, so that a slow reader delays no other socket."""
    await asyncio.gather(*(_close(socket) for socket in open_sockets.listed()))


async def flush_ledger(seconds: float) -> None:
    patience_seconds = seconds * FLUSH_SHARE
    await asyncio.gather(warmcache.close(patience_seconds=patience_seconds), traces.flush(patience_seconds))


async def close_connections(seconds: float) -> None:
    await housekeeping.close()
    await registry.close()
    await common_places.places.close()
    await common.close()
    await events.close()


async def _close(socket: OpenSocket) -> None:
    open_sockets.discard(socket)
    try:
        await socket.close(CLOSE_RESTARTING)
    except Exception:
        logger.exception("A socket could not be closed")


def _end_of_cut_off(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.error("Shutdown: what was cut off failed", exc_info=error)


class LastResort:
    """Ends the process by force if its event loop, or a thread that Python waits for, hangs."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, end: Callable[[int], None] = os._exit) -> None:
        self._clock = clock
        self._end = end
        self._timer: threading.Timer | None = None
        self._due_at = math.inf

    def end_within(self, seconds: float, *, exit_code: int) -> None:
        """If it is called several times, the earliest end counts."""
        due_at = self._clock() + seconds
        if due_at >= self._due_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due_at = due_at
        self._timer = threading.Timer(seconds, self._force, args=(seconds, exit_code))
        self._timer.daemon = True
        self._timer.start()

    def _force(self, seconds: float, exit_code: int) -> None:
        logger.warning("The process has not ended within %.1f s: it is ended by force.", seconds)
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        self._end(exit_code)


last_resort = LastResort()
