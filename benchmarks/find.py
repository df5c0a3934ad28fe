"""Searching and listing one person's 10,000 conversations, on SQLite and on PostgreSQL. Beside them what a chat without
an index does: it compares every text (`ILIKE '%word%'`)."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.servers import MissingServerError
from tests.servers.chat_server import ROOT, clean_environment
from tests.servers.postgres_server import PostgresServer


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        _measure("SQLite", f"sqlite:///{Path(folder) / 'db.sqlite3'}")
    try:
        with PostgresServer() as server:
            _measure("PostgreSQL", server.url)
    except MissingServerError as error:
        print(f"PostgreSQL: not measured: {error}")


def _measure(name: str, database_url: str) -> None:
    print(f"{name}, 10,000 conversations with 40,000 messages of one person", flush=True)
    # What others left in the environment must not choose the database's options.
    environment = {**clean_environment(DATABASE_URL=database_url), "DJANGO_SETTINGS_MODULE": "chatapp.settings"}
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], cwd=ROOT, env=environment, check=True)
    subprocess.run(
        [sys.executable, "-m", "benchmarks.find_rows"], cwd=ROOT, env={**os.environ, **environment}, check=True
    )
