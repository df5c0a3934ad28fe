"""A cursor of psycopg's connection for statements whose text recurs: prepared once per connection, with the values
bound by the server.

Django's own cursor writes the values into the statement's text, which PostgreSQL parses and plans anew each time, and
psycopg adds generators and waits of its own around each round trip. This one calls libpq directly, for a third to half
of the CPU. Each call reads its whole result.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Self
from weakref import WeakKeyDictionary

from psycopg import Connection, OperationalError
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus

MOST_PREPARED = 200
"""Of one connection. What comes after that is sent with its text each time."""

Row = tuple[Any, ...]
_INTEGERS = {21: 20, 23: 20}
"""An integer is always the largest kind: otherwise its value would decide which statement is meant."""

_SUCCEEDED = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)
_MARK = re.compile("%[s%]")


class PreparedCursor:
    """What Django's wrapper of cursors, and whoever executes one statement, needs of a cursor."""

    def __init__(self, connection: "Connection[Any]") -> None:
        self._connection = connection
        self._rows: list[Row] = []
        self._result: Any = None
        self.rowcount = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Row]:
        return iter(self.fetchall())

    @property
    def description(self) -> list[tuple[str]]:
        """The names of the columns."""
        return [(self._result.fname(index).decode(),) for index in range(self._result.nfields)]

    def execute(self, sql: str, params: Sequence[Any] | None = None) -> None:
        connection = self._connection
        with connection.lock:
            kept = _kept.get(connection)
            if kept is None:
                kept = _kept[connection] = _Kept(connection)
            if not connection.autocommit and connection.pgconn.transaction_status == TransactionStatus.IDLE:
                self._checked(connection.pgconn.exec_(b"BEGIN"))
            result = self._checked(kept.execute(sql, params or (), self))
            kept.transformer.set_pgresult(result)
            self._result = result
            self._rows = kept.transformer.load_rows(0, result.ntuples, tuple) if result.nfields else []
            self.rowcount = result.command_tuples if result.command_tuples is not None else -1

    def fetchone(self) -> Row | None:
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> list[Row]:
        rows, self._rows = self._rows, []
        return rows

    def close(self) -> None:
        self._rows, self._result = [], None

    def _checked(self, result: Any) -> Any:
        if result.status in _SUCCEEDED:
            return result
        if self._connection.pgconn.status != ConnStatus.OK:
            raise OperationalError(result.get_error_message())
        raise error_from_result(result)


class _Kept:
    """Of one connection: what it has prepared."""

    def __init__(self, connection: "Connection[Any]") -> None:
        self.transformer = Transformer(connection)
        self._pgconn = connection.pgconn
        # A pooler gives each transaction another connection.
        self._most = 0 if connection.prepare_threshold is None else MOST_PREPARED
        self._names: dict[tuple[str, tuple[int, ...]], bytes] = {}

    def execute(self, sql: str, params: Sequence[Any], cursor: PreparedCursor) -> Any:
        transformer = self.transformer
        # The library's annotation of `exec_prepared` leaves out None, which is NULL.
        values: Any = transformer.dump_sequence(params, [PyFormat.AUTO] * len(params))
        formats = transformer.formats
        types = tuple(
            _INTEGERS.get(kind, kind) if not format_ else kind
            for kind, format_ in zip(transformer.types or (), formats or (), strict=True)
        )
        name = self._names.get((sql, types))
        if name is None:
            if len(self._names) >= self._most:
                return self._pgconn.exec_params(_numbered(sql), values, types, formats)
            name = b"warmcache_%d" % len(self._names)
            cursor._checked(self._pgconn.prepare(name, _numbered(sql), types))
            self._names[sql, types] = name
        return self._pgconn.exec_prepared(name, values, formats)


_kept: "WeakKeyDictionary[Connection[Any], _Kept]" = WeakKeyDictionary()


@lru_cache(maxsize=500)
def _numbered(sql: str) -> bytes:
    """With `$1` and so on in place of each `%s`."""
    count = 0

    def number(mark: re.Match[str]) -> str:
        nonlocal count
        if mark[0] == "%%":
            return "%"
        count += 1
        return f"${count}"

    return _MARK.sub(number, sql).encode()
