"""This project's own server as a real process (`manage.py serve`), with a real simulator that the test controls."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Literal, Self

from tests.servers import PATIENCE_SECONDS
from tests.servers.databases import copy_database, new_template, server_of
from tests.servers.ports import free_port
from warmcache.upstream.simulator_process import SimulatorProcess

ROOT = Path(__file__).resolve().parents[2]
SECRET_KEY = "a key for tests, the same in every process"
# What a test must not inherit from the shell that starts it.
FOREIGN = (
    "ALLOWED_HOSTS",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "CONNECTIONS_PER_ADDRESS",
    "CSRF_TRUSTED_ORIGINS",
    "DATABASE_URL",
    "DEBUG",
    "DEFAULT_LIMITS",
    "LOG_LEVEL",
    "PORT",
    "REDIS_URL",
    "SOCKETS_PER_PERSON",
    "TRUSTED_PROXIES",
)
UNLIMITED = {"DEFAULT_LIMITS": "0", "SOCKETS_PER_PERSON": "1000000", "CONNECTIONS_PER_ADDRESS": "1000000"}
"""Of a test's server: one person does there in a second what people do in an hour."""
AS_SHIPPED = {"DEFAULT_LIMITS": "1", "SOCKETS_PER_PERSON": "40", "CONNECTIONS_PER_ADDRESS": "1000"}
"""For what is about the limits themselves."""


def clean_environment(**changes: str) -> dict[str, str]:
    """The environment for a child: nothing of the developer's own configuration, warnings shown as they are."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return {**kept, "SECRET_KEY": SECRET_KEY, "STATIC_ROOT": str(ROOT / "var" / "nothing-collected"), **changes}


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveUser:
    """A user who is signed in already; `session_key` is the value of the `sessionid` cookie."""

    id: int
    username: str
    password: str
    session_key: str

    @property
    def cookie(self) -> str:
        return f"sessionid={self.session_key}"


class SimulatorControl:
    """The simulator's control endpoints; see `warmcache/simulator/control.py`."""

    def __init__(self, process: SimulatorProcess) -> None:
        self.process = process
        self.url = process.base_url
        self.api_key = process.api_key

    def fault(self, **fault: Any) -> None:
        self.call("POST", "faults", fault)

    def release(self) -> None:
        """Lets every stalled call continue."""
        self.call("POST", "release")

    def script(self, **reply: Any) -> None:
        self.call("POST", "script", reply)

    def advance(self, seconds: float) -> None:
        """Moves the cache clock."""
        self.call("POST", "advance", {"seconds": seconds})

    def requests(self) -> list[dict[str, Any]]:
        """The journal, oldest first."""
        found: list[dict[str, Any]] = self.call("GET", "requests")["requests"]
        return found

    def reset(self) -> None:
        self.call("POST", "reset")

    def call(self, method: str, name: str, data: Any = None) -> Any:
        body = None if data is None else json.dumps(data).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}/simulator/{name}", body, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return json.loads(answer.read() or b"null")


def messages_of(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a request in the journal, without the salt that a person's prompts begin with."""
    messages: list[dict[str, Any]] = request["parsed"]["messages"]
    first = messages[0]["content"]
    if first[0].get("text", "").startswith("<salt>"):
        return [{**messages[0], "content": first[1:]}, *messages[1:]]
    return messages


_templates: dict[tuple[str, tuple[str, ...]], tuple[str, str]] = {}
"""What `prepare` printed and the URL of the database that it left, by database server and user names: preparing takes
seconds each time."""


class ChatServer:
    """`manage.py serve` on a database of its own. For a cluster on one database and Redis, pass the first
    server to the second one as `beside`."""

    def __init__(
        self,
        *,
        database_url: str,
        redis_url: str = "",
        profile: str = "instant",
        noise: float = 0.0,
        users: Sequence[str] = ("ann", "bob", "root"),
        environment: dict[str, str] | None = None,
        beside: "ChatServer | None" = None,
        runs_on: Literal["daphne", "uvicorn"] = "daphne",
        flags: Sequence[str] = (),
    ) -> None:
        self.database_url = database_url
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.socket_url = f"ws://127.0.0.1:{self.port}/ws/chat/"
        self.users: dict[str, LiveUser] = dict(beside.users) if beside else {}
        self.assistants: dict[str, int] = dict(beside.assistants) if beside else {}
        self.log = ""
        self._names = () if beside else tuple(users)
        self._own_simulator = None if beside else SimulatorProcess(profile=profile, noise=noise)
        self._beside = beside
        self._runs_on = runs_on
        self._flags = tuple(flags)
        self._redis_url = redis_url
        self._environment = environment or {}
        self.process: subprocess.Popen[str] | None = None
        self._listener: Thread | None = None

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        if self._own_simulator is not None:
            self._own_simulator.stop()

    def _begin(self) -> None:
        if self._beside is not None:
            self.simulator = self._beside.simulator
        elif self._own_simulator is not None:
            self._own_simulator.wait_ready(PATIENCE_SECONDS)
            self.simulator = SimulatorControl(self._own_simulator)
            self._prepare()
        self.start()

    def _prepare(self) -> None:
        key = server_of(self.database_url), self._names
        if key not in _templates:
            _templates[key] = self._prepared()
        said, template = _templates[key]
        copy_database(template, to=self.database_url)
        made = json.loads(said)
        self.users = {name: LiveUser(**fields) for name, fields in made["users"].items()}
        self.assistants = made["assistants"]

    def _prepared(self) -> tuple[str, str]:
        template = new_template(self.database_url)
        command = [sys.executable, "-m", "tests.servers.prepare", *self._names]
        environment = self.environment() | {"DATABASE_URL": template}
        return subprocess.check_output(command, cwd=ROOT, env=environment, text=True), template

    def environment(self) -> dict[str, str]:
        redis = {"REDIS_URL": self._redis_url} if self._redis_url else {}
        own = {
            "DATABASE_URL": self.database_url,
            "ANTHROPIC_API_KEY": self.simulator.api_key,
            "ANTHROPIC_BASE_URL": self.simulator.url,
            # An instant simulator teaches that nothing is worth warming.
            "WARMCACHE_LEARNS": "0",
            **UNLIMITED,
        }
        return clean_environment(**own | redis | self._environment)

    def start(self) -> None:
        """Returns once the server is ready. Works after `kill` too, on the same port and database."""
        serve = {
            "daphne": ["-W", "error::ResourceWarning", "manage.py", "serve"],
            "uvicorn": ["-m", "uvicorn", "chatapp.asgi:application", "--no-access-log"],
        }
        command = [sys.executable, *serve[self._runs_on], "--port", str(self.port), *self._flags]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=self.environment(), stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log += line
            if line.startswith("Serving ") or "Uvicorn running on" in line:
                self._listener = Thread(target=self._take_down, args=(self.process.stderr,), daemon=True)
                self._listener.start()
                return
        raise AssertionError(f"the server did not start:\n{self.log}")

    def _take_down(self, lines: Iterable[str]) -> None:
        # A server blocks once its output pipe is full, so somebody must read it.
        for line in lines:
            self.log += line

    def kill(self) -> None:
        """Ends the server with SIGKILL, like a crash."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ends the server with SIGTERM, as an operator would. Returns the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, signal_number: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(signal_number)
        process.wait(PATIENCE_SECONDS)
        if self._listener is not None:
            self._listener.join(PATIENCE_SECONDS)
        if process.stderr is not None:
            process.stderr.close()
        return process.returncode

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Queries the server's database directly; `?` stands for a parameter."""
        if self.database_url.startswith("sqlite"):
            with sqlite3.connect(self.database_url.removeprefix("sqlite:///"), timeout=PATIENCE_SECONDS) as connection:
                return connection.execute(sql, parameters).fetchall()
        import psycopg

        with psycopg.connect(self.database_url) as connection:
            return connection.execute(sql.replace("?", "%s"), parameters).fetchall()
