"""Counts what a block of code costs: SQL statements, new connections, database-thread hops, Redis round trips.

    with counted() as counts:
        await turn()

    assert len(counts.statements) <= 10
    assert counts.new_connections == 0

The whole process is counted, all threads and event loops: end what runs beside the block, or filter by its words.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import psycopg
from django.db.backends.sqlite3.base import DatabaseWrapper as SqliteWrapper
from django.db.backends.utils import CursorWrapper
from redis.asyncio.connection import AbstractConnection

from warmcache.background.database import DatabaseThreads

BRACKETS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO SAVEPOINT")
GREETINGS = {"HELLO", "AUTH", "CLIENT", "SELECT"}
"""What the driver says on a new connection, before any command of ours."""


@dataclass(slots=True)
class Counts:
    """Filled while the block runs."""

    statements: list[str] = field(default_factory=list)
    """The SQL, in order; what only begins or ends a transaction is left out."""
    new_connections: int = 0
    """Opened to the database; one that a pool hands out again is not new."""
    hops: int = 0
    """Calls that were given to a database thread."""
    round_trips: list[str] = field(default_factory=list)
    """To Redis, in order: the command, or those of a pipeline joined by "+". Without subscriptions' own."""

    def about(self, *words: str) -> list[str]:
        """The statements that contain one of these words, such as a table's name."""
        return [sql for sql in self.statements if any(word in sql for word in words)]


@contextmanager
def counted() -> Iterator[Counts]:
    counts = Counts()
    with ExitStack() as stack:
        for owner, name, note in _watched(counts):
            stack.enter_context(patch.object(owner, name, _noting(owner, name, note)))
        yield counts


def _watched(counts: Counts) -> Iterable[tuple[Any, str, Callable[..., None]]]:
    def statement(_: CursorWrapper, sql: str, *__: Any) -> None:
        if not sql.lstrip().upper().startswith(BRACKETS):
            counts.statements.append(sql)

    def connection(*_: Any, **__: Any) -> None:
        counts.new_connections += 1

    def hop(*_: Any, **__: Any) -> None:
        counts.hops += 1

    def round_trip(_: AbstractConnection, packed: Any, *__: Any, **___: Any) -> None:
        names = list(_command_names(packed))
        if names and not GREETINGS & set(names):
            counts.round_trips.append("+".join(names))

    return (
        (CursorWrapper, "execute", statement),
        (CursorWrapper, "executemany", statement),
        (SqliteWrapper, "get_new_connection", connection),
        (psycopg.Connection, "connect", connection),
        (psycopg, "connect", connection),
        (DatabaseThreads, "submit", hop),
        (AbstractConnection, "send_packed_command", round_trip),
    )


def _noting(owner: Any, name: str, note: Callable[..., None]) -> Any:
    static = inspect.getattr_static(owner, name)
    original = static.__func__ if isinstance(static, classmethod) else static

    def call(*args: Any, **kwargs: Any) -> Any:
        note(*args, **kwargs)
        return original(*args, **kwargs)

    return classmethod(call) if isinstance(static, classmethod) else call


def _command_names(packed: bytes | str | Iterable[bytes]) -> Iterator[str]:
    """Each command is an array of strings, `*<count>` and for each `$<bytes>`, and its name comes first."""
    whole = packed.encode() if isinstance(packed, str) else packed if isinstance(packed, bytes) else b"".join(packed)
    position = 0
    while position < len(whole):
        words, position = _number(whole, position)
        for index in range(words):
            size, position = _number(whole, position)
            if index == 0:
                yield whole[position : position + size].decode().upper()
            position += size + 2


def _number(whole: bytes, position: int) -> tuple[int, int]:
    """The number behind the sign that stands here, and where the next line begins."""
    end = whole.index(b"\r\n", position)
    return int(whole[position + 1 : end]), end + 2
