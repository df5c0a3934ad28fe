"""Retries database writes that a short outage must not lose."""

import asyncio
import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.db import Error as DatabaseTrouble

from warmcache.background.database import in_database_thread

logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

DATABASE_TROUBLE = (DatabaseTrouble, OSError)

WRITE_TRIES = 9
FIRST_WRITE_PAUSE_SECONDS = 0.3
LONGEST_WRITE_PAUSE_SECONDS = 3.0
"""About 16 s in all: no reply loses its end because the database restarts."""


async def patiently(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs the function in a database thread, and retries for some seconds while the database is unreachable."""
    pause = FIRST_WRITE_PAUSE_SECONDS
    for _ in range(WRITE_TRIES - 1):
        try:
            return await in_database_thread(function, *args, **kwargs)
        except DATABASE_TROUBLE as error:
            logger.warning("The database does not answer, tried again in %.1f s: %s", pause, error)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_WRITE_PAUSE_SECONDS)
    return await in_database_thread(function, *args, **kwargs)
