"""Retries database writes that a short outage must not lose."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import Error as DatabaseTrouble
from django.db import InterfaceError, OperationalError

from warmcache.background.database import in_database_thread

logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

DATABASE_TROUBLE = (DatabaseTrouble, OSError)
DATABASE_AWAY = (OperationalError, InterfaceError, OSError)
"""Trouble that may pass: the same statement may succeed in a moment."""

COMMAND_TRIES = 4

WRITE_TRIES = 9
FIRST_WRITE_PAUSE_SECONDS = 0.3
LONGEST_WRITE_PAUSE_SECONDS = 3.0
"""About 16 s in all: no reply loses its end because the database restarts."""


async def patiently(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs the function in a database thread, and retries for some seconds while the database is unreachable."""
    call = partial(function, *args, **kwargs)
    return await _tried(in_database_thread(call), call, tries=WRITE_TRIES, trouble=DATABASE_TROUBLE)


async def briefly(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for a command whose sender waits: a locked SQLite file costs seconds and not the message, and a server
    that is gone is told after about two seconds."""
    call = partial(function, *args, **kwargs)
    return await _tried(in_database_thread(call), call, tries=COMMAND_TRIES, trouble=DATABASE_AWAY)


async def briefly_from(begun: Awaitable[T], function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same where the first try has begun already."""
    return await _tried(begun, partial(function, *args, **kwargs), tries=COMMAND_TRIES, trouble=DATABASE_AWAY)


async def _tried(first: Awaitable[T], call: Callable[[], T], *, tries: int, trouble: tuple[type[Exception], ...]) -> T:
    attempt, pause = first, FIRST_WRITE_PAUSE_SECONDS
    for _ in range(tries - 1):
        try:
            return await attempt
        except trouble as error:
            logger.warning("The database does not answer, tried again in %.1f s: %s", pause, error)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_WRITE_PAUSE_SECONDS)
        attempt = in_database_thread(call)
    return await attempt
