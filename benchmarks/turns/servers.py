"""The compared servers, as processes on their own core, and the upstream behind all of them."""

import asyncio
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, Self
from urllib.request import Request, urlopen

from benchmarks.turns import cores
from benchmarks.turns.people import OurPerson, Person, TutorialPerson
from benchmarks.turns.venv import ROOT, python_of_peers
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import UNLIMITED, clean_environment
from tests.servers.ports import free_port, wait_until_listening
from tests.servers.postgres_server import PostgresServer, execute

HERE = Path(__file__).resolve().parent
KEY = "stamped"
PREFIX_TOKENS = 60_000
CHARACTERS_PER_TOKEN = 4
HISTORY_MESSAGES = 1_000


class StampedUpstream:
    """`upstream.py` as a child process that ends with us."""

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "benchmarks.turns.upstream"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.communicate(timeout=PATIENCE_SECONDS)

    async def hurry(self, *, on: bool) -> None:
        """While this is on, every stream ends at once with all its tokens."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"POST /{'hurry' if on else 'calm'} HTTP/1.1\r\ncontent-length: 0\r\n\r\n".encode())
        await reader.readuntil(b"{}")
        writer.close()
        await writer.wait_closed()


class Server:
    """One compared server, which runs while the context is open; pinned to one core if one is given."""

    def __init__(self, name: str, *, core: int | None) -> None:
        self.name = name
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="warmcache-turns-"))
        self.log = ""
        self._core = core
        self._process: subprocess.Popen[str] | None = None
        self._listener: Thread | None = None

    def __enter__(self) -> Self:
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(PATIENCE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._listener is not None:
            self._listener.join(PATIENCE_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)

    def begin(self) -> None:
        raise NotImplementedError

    def person(self, number: int) -> Person:
        raise NotImplementedError

    def kib_per_prepared(self) -> float:
        """What a prepared conversation takes by the server's own count; not a number if it counts none."""
        return math.nan

    def pids(self) -> list[int]:
        assert self._process is not None
        return cores.family(self._process.pid)

    def tell(self, signal_number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(signal_number)

    def _start(self, command: Sequence[str], *, cwd: Path, environment: dict[str, str]) -> None:
        silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True, **silent)
        if self._core is not None:
            os.sched_setaffinity(self._process.pid, {self._core})
        self._listener = Thread(target=self._take_down, args=(self._process.stderr,), daemon=True)
        self._listener.start()

    def _take_down(self, lines: Iterable[str]) -> None:
        # A server blocks once its output pipe is full, so somebody must read it.
        for line in lines:
            self.log += line

    def _wait_until_listening(self) -> None:
        try:
            wait_until_listening(self.port)
        except OSError:
            raise AssertionError(f"{self.name} does not start:\n{self.log}") from None


class PeerServer(Server):
    """`raw`, `tutorial` or `rows`."""

    def __init__(self, name: str, *, core: int, upstream: StampedUpstream) -> None:
        super().__init__(name, core=core)
        self._upstream = upstream

    def begin(self) -> None:
        python = python_of_peers()
        environment = clean_environment(
            ANTHROPIC_API_KEY=KEY,
            ANTHROPIC_BASE_URL=self._upstream.url,
            DATABASE_PATH=str(self.folder / "db.sqlite3"),
        )
        peers = HERE / "peers"
        daphne = [python, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(self.port)]
        commands = {
            "raw": [python, "raw_hop.py", str(self.port)],
            "tutorial": [*daphne, "tutorial:application"],
            "rows": [*daphne, "rows.asgi:application"],
        }
        if self.name == "rows":
            subprocess.run([python, "-m", "rows.make_tables"], cwd=peers, env=environment, check=True)
        self._start(commands[self.name], cwd=peers, environment=environment)
        self._wait_until_listening()

    def person(self, number: int) -> Person:
        return TutorialPerson(self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seed:
    """What our database holds at the start; see `seed_ours.py`."""

    cookies: list[str]
    assistants: dict[str, int]
    history: str
    short: str
    paged: str


@dataclass(slots=True)
class Checkout:
    """A folder with a checkout of this project, at any commit."""

    folder: Path
    people: int
    _kept: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="warmcache-turns-")))
    _seeds: dict[str, Seed] = field(default_factory=dict)
    _template: str = field(default_factory=lambda: f"seeded_{free_port()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self._kept, ignore_errors=True)

    @property
    def python(self) -> str:
        own = self.folder / ".venv" / "bin" / "python"
        return str(own) if own.exists() else sys.executable

    def has_processes(self) -> bool:
        """Whether `serve` supports several processes."""
        command = [self.python, "manage.py", "serve", "--help"]
        return "--processes" in subprocess.check_output(command, cwd=self.folder, env=clean_environment(), text=True)

    def sqlite_in(self, folder: Path) -> tuple[str, Seed]:
        """A new SQLite database, equal to every other one of this checkout."""
        kept = self._kept / "db.sqlite3"
        if "sqlite" not in self._seeds:
            self._seeds["sqlite"] = self._seed(f"sqlite:///{kept}")
        path = folder / "db.sqlite3"
        shutil.copy(kept, path)
        return f"sqlite:///{path}", self._seeds["sqlite"]

    def postgres_on(self, server: PostgresServer) -> tuple[str, Seed]:
        """The same on PostgreSQL."""
        if "postgres" not in self._seeds:
            execute(server.url, f"CREATE DATABASE {self._template}")
            self._seeds["postgres"] = self._seed(_with_name(server.url, self._template))
        name = f"turns_{free_port()}"
        execute(server.url, f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return _with_name(server.url, name), self._seeds["postgres"]

    def _seed(self, database_url: str) -> Seed:
        numbers = (self.people, PREFIX_TOKENS * CHARACTERS_PER_TOKEN, HISTORY_MESSAGES)
        made: dict[str, Any] = json.loads(
            subprocess.check_output(
                [self.python, "-c", (HERE / "seed_ours.py").read_text(), *map(str, numbers)],
                cwd=self.folder,
                env=clean_environment(DATABASE_URL=database_url),
                text=True,
            )
        )
        return Seed(**made)


def _with_name(url: str, name: str) -> str:
    before, _, query = url.partition("?")
    return f"{before.rpartition('/')[0]}/{name}?{query}"


class OurServer(Server):
    """`manage.py serve` of a checkout, on SQLite, or on PostgreSQL and Redis where both are given.

    `instrument` names a script of `instruments/` that runs the server and records what it does.
    """

    def __init__(
        self,
        name: str,
        *,
        core: int | None,
        upstream: StampedUpstream,
        checkout: Checkout,
        postgres: PostgresServer | None = None,
        redis_url: str = "",
        processes: int = 1,
        instrument: str = "",
    ) -> None:
        super().__init__(name, core=core)
        self.seed: Seed
        self._upstream = upstream
        self._checkout = checkout
        self._postgres = postgres
        self._redis_url = redis_url
        self._processes = processes
        self._instrument = instrument

    @property
    def report(self) -> Path:
        """The file to which the instrument writes its records."""
        return self.folder / "report.json"

    def begin(self) -> None:
        if self._postgres is None:
            database_url, self.seed = self._checkout.sqlite_in(self.folder)
        else:
            database_url, self.seed = self._checkout.postgres_on(self._postgres)
        environment = clean_environment(
            DATABASE_URL=database_url,
            ANTHROPIC_API_KEY=KEY,
            ANTHROPIC_BASE_URL=self._upstream.url,
            # A run of a few seconds has nothing to learn from.
            WARMCACHE_LEARNS="0",
            # The limits are counted, but a person of this benchmark is faster than any.
            **UNLIMITED,
            REPORT=str(self.report),
            METRICS_TOKEN=KEY,
            **({"REDIS_URL": self._redis_url} if self._redis_url else {}),
        )
        script = [str(HERE / "instruments" / self._instrument)] if self._instrument else []
        several = ["--processes", str(self._processes)] if self._processes > 1 else []
        command = [self._checkout.python, *script, "manage.py", "serve", "--port", str(self.port), *several]
        self._start(command, cwd=self._checkout.folder, environment=environment)
        self._wait_until_listening()

    def kib_per_prepared(self) -> float:
        headers = {"Authorization": f"Bearer {KEY}"}
        asked = Request(f"http://127.0.0.1:{self.port}/metrics", headers=headers)  # noqa: S310
        with urlopen(asked, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310  our own server
            lines = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[:1] != "#")
        count = float(lines.get("warmcache_prepared_conversations", 0))
        size_bytes = float(lines.get('warmcache_prepared_bytes{part="conversations"}', 0))
        return size_bytes / 1024 / count if count else math.nan

    def person(self, number: int) -> OurPerson:
        return self.person_of("plain", number)

    def person_of(self, assistant: str, number: int, *, types: bool = False) -> OurPerson:
        return OurPerson(
            self.port,
            cookie=self.seed.cookies[number % len(self.seed.cookies)],
            assistant_id=self.seed.assistants[assistant],
            types=types,
        )

    def person_with_history(self) -> OurPerson:
        """A person in a conversation of `HISTORY_MESSAGES` messages."""
        return OurPerson(
            self.port,
            cookie=self.seed.cookies[0],
            assistant_id=self.seed.assistants["plain"],
            conversation_id=self.seed.history,
        )
