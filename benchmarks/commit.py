"""How long a COMMIT takes on a PostgreSQL that waits for its disk: what starting the provider's call beside it could
save for each message.

Each transaction inserts two rows, as a message does. Beside it, the disk alone: a page written and synchronised.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from uuid import uuid4

import psycopg

from tests.servers.postgres_server import PostgresServer, execute

TRANSACTIONS = 400
ROW_CHARACTERS = 500
PAGE = b"x" * 8192
RELOAD_SECONDS = 0.5


def run() -> None:
    with PostgresServer() as server:
        execute(server.url, "CREATE TABLE sent (id uuid PRIMARY KEY, text text)")
        execute(server.url, "ALTER SYSTEM SET fsync = on")
        execute(server.url, "SELECT pg_reload_conf()")
        time.sleep(RELOAD_SECONDS)
        with psycopg.connect(server.url) as connection:
            [fsync] = connection.execute("SHOW fsync").fetchone() or ["?"]
            connection.commit()

            def insert() -> None:
                for _ in range(2):
                    connection.execute("INSERT INTO sent VALUES (%s, %s)", (uuid4(), "x" * ROW_CHARACTERS))

            _print(f"COMMIT, fsync {fsync}", insert, connection.commit)
    with tempfile.TemporaryFile() as file:
        _print("the disk alone", lambda: os.pwrite(file.fileno(), PAGE, 0), lambda: os.fdatasync(file.fileno()))


def _print(name: str, before: Callable[[], object], measured: Callable[[], object]) -> None:
    waits_ms = []
    for _ in range(TRANSACTIONS):
        before()
        began = time.perf_counter()
        measured()
        waits_ms.append((time.perf_counter() - began) * 1000)
    tenths = statistics.quantiles(waits_ms, n=20)
    print(
        f"{name}: p10 {tenths[1]:.2f} ms, p50 {statistics.median(waits_ms):.2f} ms, p95 {tenths[18]:.2f} ms", flush=True
    )
