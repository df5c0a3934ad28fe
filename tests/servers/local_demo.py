"""`manage.py demo --local-model` on a database of its own: what `make run-local` starts."""

import re
import signal
import sqlite3
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from tests.servers import PATIENCE_SECONDS, MissingServerError
from tests.servers.chat_server import ROOT, clean_environment

LINE = re.compile(r"Open (?P<link>http\S+/) \((?P<who>[^)]*)\)")


class LocalDemo:
    """Begins with a cold cache, because the model begins with it. `who` is what it says of who answers."""

    def __init__(self, folder: Path) -> None:
        if find_spec("xllamacpp") is None:
            raise MissingServerError("No local model: `python3 deploy/install.py --local-model` installs it.")
        self._database = folder / "local-model.sqlite3"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", "--local-model"],
            cwd=ROOT,
            env=clean_environment(DATABASE_URL=f"sqlite:///{self._database}", PORT="0"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = LINE.match(line)
        assert found, f"the demo did not start: {line!r}"
        self.link, self.who = found["link"], found["who"]
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=PATIENCE_SECONDS)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table of the ledger, oldest first."""
        with sqlite3.connect(self._database, timeout=PATIENCE_SECONDS) as connection:
            connection.row_factory = sqlite3.Row
            found = connection.execute(f"SELECT * FROM warmcache_{table} ORDER BY started_at")  # noqa: S608  ours
            return [dict(row) for row in found]
