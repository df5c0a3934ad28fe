"""Two real processes on one Redis: one holds the layer, and when it is killed the other follows."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from tests.servers import PATIENCE_SECONDS
from tests.servers.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[3]
HELD = "warmcache:lease:keeper:guide"


class KeeperProcess:
    """`name` is its keeper's, `lines` what it printed since."""

    def __init__(self, redis_url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.warmcache.warmups.keeper_process", redis_url],
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.name = self.lines.get(timeout=PATIENCE_SECONDS)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.put(line.strip())

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None


@pytest.fixture
def start(redis_server: RedisServer) -> Iterator[Callable[[], KeeperProcess]]:
    with ExitStack() as stack:

        def start_one() -> KeeperProcess:
            process = KeeperProcess(redis_server.url)
            stack.callback(lambda: process.is_running and process.kill())
            return process

        yield start_one


def holder(client: "redis.Redis") -> str:
    return (client.get(HELD) or b"").decode().rpartition(" ")[0]


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_of_two_processes_holds_a_layer_and_the_other_follows_when_it_is_killed(
    start: Callable[[], KeeperProcess], redis_server: RedisServer
) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        both = [start(), start()]
        wait_until(lambda: holder(client) != "")
        name = holder(client)
        first, other = sorted(both, key=lambda process: process.name != name)
        warmed = first.lines.get(timeout=PATIENCE_SECONDS)

        first.kill()
        left_behind = holder(client)
        client.pexpire(HELD, 1)  # the lease's time is over
        wait_until(lambda: holder(client) == other.name)

        assert left_behind == first.name
        # What the first one warmed lives for an hour: there is nothing to send.
        assert (name, warmed) == (first.name, "warmed")
        assert first.lines.empty()
        assert other.lines.empty()
