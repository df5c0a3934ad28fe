"""A server as a child process, which ends with us however we end.

The child prints `READY URL` on its standard output once it listens, watches its standard input and exits at its end:
the system closes the pipe even after `kill -9`.
"""

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

READY = "READY "
START_SECONDS = 60.0
STOP_SECONDS = 2.0
ROOT = Path(__file__).resolve().parents[2]


class ChildServerError(Exception):
    """The child did not start; the message is one sentence."""


class ChildServer:
    """The constructor only starts it, so that the caller can continue with other work; `wait_ready` returns its
    address."""

    def __init__(
        self, command: Sequence[str], *, name: str, way_on: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """`name` begins and `way_on` ends what is said if it does not start."""
        self.base_url = ""
        self._name = name
        self._way_on = way_on
        self._process = subprocess.Popen(  # noqa: S603  no shell, the caller's own program
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment,
            # A Ctrl-C meant for us must not end it while replies are still being finished.
            process_group=0,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait_ready(self, timeout_seconds: float = START_SECONDS, clock: Callable[[], float] = time.monotonic) -> str:
        """Its base URL, once it listens. Raises `ChildServerError` if it exits or does not report in time."""
        deadline = clock() + timeout_seconds
        line = b""
        assert self._process.stdout is not None  # noqa: S101  made by us with a pipe
        fd = self._process.stdout.fileno()
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([fd], [], [], max(0.0, deadline - clock()))
            chunk = os.read(fd, 4096) if readable else b""
            if not chunk:
                self.stop()
                why = (
                    "ended at once; its own message says why" if readable else f"is not up after {timeout_seconds:g} s"
                )
                raise ChildServerError(f"{self._name} {why}. {self._way_on}")
            line += chunk
        self.base_url = line.decode().strip().removeprefix(READY)
        return self.base_url

    def stop(self) -> None:
        """Stops it and waits for its end; calling it twice is harmless."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # Last, because a child that is still starting wants to report that it is ready.
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
