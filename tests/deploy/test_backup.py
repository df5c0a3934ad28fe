"""The commands of `docs/deploy.md` for backups bring back what was there."""

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import psycopg

from tests.servers.chat_server import ROOT
from tests.servers.postgres_server import PostgresServer

DOCUMENT = (ROOT / "docs" / "deploy.md").read_text()


def command(beginning: str) -> str:
    (found,) = re.findall(rf"^{re.escape(beginning)} .*$", DOCUMENT, re.MULTILINE)
    return str(found)


def shell(line: str, *, folder: Path, **environment: str) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run(["sh", "-ec", line], cwd=folder, env={**os.environ, "PATH": path, **environment}, check=True)


def test_postgresql_is_as_it_was(postgres_server: PostgresServer, tmp_path: Path) -> None:
    url = postgres_server.create_database()
    environment = {"DATABASE_URL": url, "PATH": f"{postgres_server.programs}:{os.environ['PATH']}"}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('before')")

    shell(command("pg_dump"), folder=tmp_path, **environment)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE kept SET word = 'after'")
    shell(command("pg_restore"), folder=tmp_path, **environment)

    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT word FROM kept").fetchall() == [("before",)]


def test_sqlite_is_copied_while_somebody_writes(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    with sqlite3.connect(tmp_path / "var" / "db.sqlite3") as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE kept (word text)")
        writer.execute("INSERT INTO kept VALUES ('before')")
        writer.commit()
        writer.execute("INSERT INTO kept VALUES ('not committed yet')")

        shell(command("python -c"), folder=tmp_path)

    with sqlite3.connect(tmp_path / "backup.sqlite3") as copy:
        assert copy.execute("SELECT word FROM kept").fetchall() == [("before",)]
