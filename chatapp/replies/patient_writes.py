"""Writes that a short outage of the database must not cost."""

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
"""Some 16 s in all: a database that restarts costs no reply its end."""


async def patiently(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """In a database thread; while the database is away, again and again for some seconds."""
    pause = FIRST_WRITE_PAUSE_SECONDS
    for _ in range(WRITE_TRIES - 1):
        try:
            return await in_database_thread(function, *args, **kwargs)
        except DATABASE_TROUBLE as error:
            logger.warning("The database does not answer, tried again in %.1f s: %s", pause, error)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_WRITE_PAUSE_SECONDS)
    return await in_database_thread(function, *args, **kwargs)
