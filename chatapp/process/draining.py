"""The good end of a process: replies are let finish, and pages are sent elsewhere, a few at a time.

A page whose socket is closed with 4412 reconnects at once to another process, or to the next one here. All at the same
moment would be a storm, so they leave over up to 10 s, idle ones first; who reads a reply leaves when that has ended.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable

from chatapp.process import open_sockets
from chatapp.process.open_sockets import OpenSocket
from chatapp.protocol import CLOSE_RESTARTING
from chatapp.replies import registry

logger = logging.getLogger(__name__)

REPLIES_SECONDS = 20.0
SPREAD_SECONDS = 10.0
PAUSE_SECONDS = 0.05
LAST_FRAMES_SECONDS = 1.0


async def drain(
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Returns when no reply is written here and every socket was told to go; after 26 s at most.

    What is still written after 20 s ends as `interrupted`, with its text stored.
    """
    if count := registry.count():
        words = "%d replies are being written and may take up to %.0f s to end. A second signal ends them now."
        logger.warning(words, count, REPLIES_SECONDS)
    await _let_go(clock, sleep)
    await registry.interrupt_all()
    last_call = clock() + LAST_FRAMES_SECONDS
    while any(socket.is_reading for socket in open_sockets.listed()) and clock() < last_call:
        await sleep(PAUSE_SECONDS)
    for socket in open_sockets.listed():
        await _close(socket)


async def _let_go(clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]) -> None:
    deadline = clock() + REPLIES_SECONDS
    at_once = math.ceil(len(open_sockets.listed()) * PAUSE_SECONDS / SPREAD_SECONDS)
    while clock() < deadline:
        sockets, is_writing = open_sockets.listed(), registry.count() > 0
        if not sockets and not is_writing:
            return
        free = [s for s in sockets if not s.is_working and not (is_writing and s.is_reading)]
        for socket in free[:at_once]:
            await _close(socket)
        await sleep(PAUSE_SECONDS)


async def _close(socket: OpenSocket) -> None:
    open_sockets.discard(socket)
    try:
        await socket.close(CLOSE_RESTARTING)
    except Exception:
        logger.exception("A socket could not be closed")
