"""The one way from async code to the ORM: a bounded thread pool of our own.

`sync_to_async` would put every query of a process on one shared thread, where a slow one delays all sockets.
Connections are checked before and closed after each call, as no request signal does it for a background task.
"""

import asyncio
import contextvars
import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections, connection

P = ParamSpec("P")
T = TypeVar("T")

DATABASE_THREADS = 8
"""Fewer than the default PostgreSQL pool's 10 connections, so that views always find one."""


def _open_pool() -> None:
    """A forked child needs a pool of its own: the threads stay behind in the parent."""
    global _pool
    _pool = ThreadPoolExecutor(max_workers=DATABASE_THREADS, thread_name_prefix="database")


_pool: ThreadPoolExecutor
_open_pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open_pool)


async def in_database_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs a synchronous function that uses the ORM, outside the event loop. A cancelled caller does not stop it."""
    context = contextvars.copy_context()
    call = functools.partial(context.run, _with_fresh_connections, functools.partial(function, *args, **kwargs))
    return await asyncio.get_running_loop().run_in_executor(_pool, call)


def ping() -> None:
    """Raises where the database does not answer."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _with_fresh_connections(call: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return call()
    finally:
        close_old_connections()
