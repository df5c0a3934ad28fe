"""Records what a server asks of others: SQL, new connections, hops to threads, Redis, calls to the provider.

Each event is `[kind, detail, nanoseconds, thread]`, in order.
"""

import asyncio.base_events
import sqlite3
import threading
import time
from typing import Any

from under_watch import serve_under

Event = tuple[str, str, int, str]
events: list[Event] = []


def note(kind: str, detail: str) -> None:
    events.append((kind, detail, time.monotonic_ns(), threading.current_thread().name))


def take() -> list[Event]:
    taken = events[:]
    del events[: len(taken)]
    return taken


def before(owner: Any, name: str, look: Any) -> None:
    """Calls `look` with the same arguments ahead of each call."""
    original = getattr(owner, name)

    def watched(*args: Any, **kwargs: Any) -> Any:
        look(*args, **kwargs)
        return original(*args, **kwargs)

    setattr(owner, name, watched)


def watch_hops() -> None:
    """Records a hop at its end, because every way to run work in a thread reports its end to the loop."""

    def told(loop: Any, callback: Any, *args: Any, **kwargs: Any) -> None:
        if threading.get_ident() != loop._thread_id:
            work = getattr(getattr(callback, "__self__", None), "function", callback)
            note("hop", _name_of(work))

    before(asyncio.base_events.BaseEventLoop, "call_soon_threadsafe", told)


def _name_of(function: Any) -> str:
    """The name of the function inside any number of partials."""
    while hasattr(function, "func"):
        nested = [argument for argument in function.args if callable(argument)]
        function = nested[-1] if nested else function.func
    return getattr(function, "__qualname__", type(function).__qualname__)


def watch_database() -> None:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.backends.utils import CursorWrapper

    before(CursorWrapper, "execute", lambda self, sql, params=None: note("sql", str(sql)))
    before(CursorWrapper, "executemany", lambda self, sql, params: note("sql", str(sql)))
    before(BaseDatabaseWrapper, "_commit", lambda self: note("sql", "COMMIT") if self.connection else None)
    before(sqlite3, "connect", lambda *args, **kwargs: note("connection", "sqlite"))
    sqlite3.dbapi2.connect = sqlite3.connect  # Django takes it from there
    try:
        import psycopg
    except ImportError:
        return
    before(psycopg.Connection, "connect", lambda *args, **kwargs: note("connection", "postgres"))


def watch_redis() -> None:
    from redis.asyncio.connection import AbstractConnection
    from redis.connection import AbstractConnection as SyncConnection

    def sent(self: Any, command: Any, check_health: bool = True) -> None:
        packed = command if isinstance(command, (bytes, str)) else b"".join(command)
        packed = packed.encode() if isinstance(packed, str) else packed
        note("redis", f"{_command_of(packed)} {len(packed)}")

    for connection in (AbstractConnection, SyncConnection):
        before(connection, "send_packed_command", sent)


def _command_of(packed: bytes) -> str:
    """`XADD`, or `XADD+2` for a pipeline of three commands."""
    pieces = packed.split(b"\r\n")
    more = packed.count(b"\r\n*")
    name = pieces[2].decode(errors="replace") if len(pieces) > 2 else "?"
    return f"{name}+{more}" if more else name


def watch_upstream() -> None:
    import aiohttp

    def asked(self: Any, method: str, url: Any, *args: Any, data: Any = None, **kwargs: Any) -> None:
        size = len(data) if isinstance(data, (bytes, str)) else 0
        note("upstream", f"{method} {url} {size}")

    before(aiohttp.ClientSession, "_request", asked)


watch_hops()
watch_database()
watch_redis()
watch_upstream()
serve_under(take)
