"""A real PgBouncer with its usual settings in front of a test's PostgreSQL."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

from tests.servers import PATIENCE_SECONDS, MissingServerError
from tests.servers.ports import free_port

POLL_SECONDS = 0.05
SETTINGS = """
[databases]
* = host={host} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
"""


class PgBouncerServer:
    """Pools transactions of few connections, so that one client soon meets the connection of another."""

    def __init__(self, database_url: str, *, pool_size: int = 3) -> None:
        if not shutil.which("pgbouncer"):
            raise MissingServerError("No PgBouncer: install the distribution's `pgbouncer`.")
        parts = urlsplit(database_url)
        self._port = free_port()
        self._folder = Path(tempfile.mkdtemp(prefix="warmcache-pgbouncer-"))
        self._host, user = parse_qs(parts.query)["host"][0], parts.username or "postgres"
        text = SETTINGS.format(host=self._host, user=user, port=self._port, pool_size=pool_size)
        (self._folder / "pgbouncer.ini").write_text(text)
        self.url = f"postgresql://{user}@127.0.0.1:{self._port}{parts.path}"

    def __enter__(self) -> Self:
        command = ["pgbouncer", "--quiet", str(self._folder / "pgbouncer.ini")]
        if os.geteuid() == 0:  # it refuses to serve as root
            self._folder.chmod(0o755)
            command[1:1] = ["--user", pwd.getpwuid(os.stat(self._host).st_uid).pw_name]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._listens():
            assert self._process.poll() is None, "PgBouncer has ended"
            assert time.monotonic() < deadline, "PgBouncer does not listen"
            time.sleep(POLL_SECONDS)
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0
