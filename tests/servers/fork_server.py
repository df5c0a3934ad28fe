"""Python programs as processes that need not import the libraries again: they are forked from one that has.

Most of a server's start is the import of the SDK, and hundreds of servers start in a run. What is about the start
itself still begins with a new interpreter (`tests/chatapp/management/test_serve.py`).
"""

import multiprocessing
import os
import runpy
import signal
import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Literal

from tests.servers import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[2]
# Nothing that reads settings, starts a thread or makes an event loop, and so no `daphne.server`.
LIBRARIES = [
    "aiohttp.web",
    "anthropic",
    "asgiref.sync",
    "autobahn.twisted.websocket",
    "channels.layers",
    "channels_redis.core",
    "django.contrib.admin",
    "django.contrib.staticfiles.handlers",
    "django.core.management",
    "django.core.serializers.json",
    "django.db.models",
    "django.http",
    "genai_prices",
    "msgspec",
    "prometheus_client",
    "psycopg",
    "psycopg_pool",
    "redis.asyncio",
    "twisted.web.http",
    "warmcache.simulator.options",
    "warmcache.simulator.server",
]
Stream = Literal["stdout", "stderr"]


class ForkedProgram:
    """`python PROGRAM` in the project's folder. A daemon: it ends with the tests at the latest."""

    def __init__(self, program: Sequence[str], *, environment: Mapping[str, str], shown: Stream) -> None:
        """`program` is a script's path, or `-m` and a module, and its arguments. `shown` is read by `lines`."""
        context = _context()
        reader, writer = context.Pipe(duplex=False)
        with reader, writer:
            arguments = tuple(program), dict(environment), shown, writer
            self._process = context.Process(target=_become, args=arguments, daemon=True)
            self._process.start()
            self.lines = os.fdopen(os.dup(reader.fileno()))

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def send_signal(self, number: signal.Signals) -> None:
        if self._process.is_alive():
            os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit code, once it has ended; below 0 the signal that ended it."""
        self._process.join(PATIENCE_SECONDS)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
            raise TimeoutError(f"process {self.pid} has not ended after {PATIENCE_SECONDS:g} s")
        return code


def output_of(program: Sequence[str], *, environment: Mapping[str, str]) -> str:
    """What `python PROGRAM` prints; fails if it fails."""
    process = ForkedProgram(program, environment=environment, shown="stdout")
    with process.lines:
        said = process.lines.read()
    assert process.wait() == 0, f"{' '.join(program)} failed; its own message says why"
    return said


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    return context


def _become(program: tuple[str, ...], environment: dict[str, str], shown: Stream, writer: Connection) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    os.dup2(writer.fileno(), getattr(sys, shown).fileno())
    writer.close()
    warnings.simplefilter("error", ResourceWarning)
    # A supervisor starts its members with the same options.
    sys.orig_argv = [sys.executable, "-W", "error::ResourceWarning", *program]
    if program[0] == "-m":
        sys.argv = list(program[1:])
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = list(program)
        runpy.run_path(program[0], run_name="__main__")
