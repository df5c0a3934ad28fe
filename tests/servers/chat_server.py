"""This project's own server as a real process (`manage.py serve`), with a real simulator that the test controls."""

import json
import os
import signal
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Literal, Self

from tests.servers import PATIENCE_SECONDS
from tests.servers.databases import copy_database, migrated_template, new_template, server_of
from tests.servers.fork_server import ForkedProgram, output_of
from tests.servers.once import made_once
from tests.servers.ports import free_port
from tests.servers.simulator_server import SimulatorControl, SimulatorServer

ROOT = Path(__file__).resolve().parents[2]
SECRET_KEY = "a key for tests, the same in every process"
# What a test must not inherit from the shell that starts it.
FOREIGN = (
    "ACCESS_LOG",
    "ADMIN_PATH",
    "ALLOWED_HOSTS",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_BASE_URL",
    "CONNECTIONS_PER_ADDRESS",
    "CSRF_TRUSTED_ORIGINS",
    "DATABASE_URL",
    "DEBUG",
    "DEFAULT_LIMITS",
    "EMAIL_HOST",
    "KEEP_CHATS_DAYS",
    "KEPT_STATIC_ROOT",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "MCP_PRIVATE_HOSTS",
    "OIDC_CLIENT_ID",
    "OIDC_CLIENT_SECRET",
    "OIDC_ISSUER",
    "OIDC_LINK_BY_MAIL",
    "OIDC_REGISTRATION",
    "OIDC_SIGN_OUT",
    "OPEN_REGISTRATION",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "PORT",
    "REDIS_URL",
    "SOCKETS_PER_PERSON",
    "STAFF_SECOND_FACTOR",
    "TRUSTED_PROXIES",
)
UNLIMITED = {"DEFAULT_LIMITS": "0", "SOCKETS_PER_PERSON": "1000000", "CONNECTIONS_PER_ADDRESS": "1000000"}
"""Of a test's server: one person does there in a second what people do in an hour."""
AS_SHIPPED = {"DEFAULT_LIMITS": "1", "SOCKETS_PER_PERSON": "40", "CONNECTIONS_PER_ADDRESS": "1000"}
"""For what is about the limits themselves."""


def clean_environment(**changes: str) -> dict[str, str]:
    """The environment for a child: nothing of the developer's own configuration, warnings shown as they are."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    nothing_collected = str(ROOT / "var" / "nothing-collected")
    # A request beside the reply would be counted as one of a message's.
    return {**kept, "SECRET_KEY": SECRET_KEY, "STATIC_ROOT": nothing_collected, "TITLE_MODEL": "off", **changes}


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


def messages_of(request: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a request in the journal, without the salt that a person's prompts begin with."""
    messages: list[dict[str, Any]] = request["parsed"]["messages"]
    first = messages[0]["content"]
    if first[0].get("text", "").startswith("<salt>"):
        return [{**messages[0], "content": first[1:]}, *messages[1:]]
    return messages


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
        self._own_simulator = None if beside else SimulatorServer(profile=profile, noise=noise)
        self._beside = beside
        self.simulator: SimulatorControl
        self._runs_on = runs_on
        self._flags = tuple(flags)
        self._redis_url = redis_url
        self._environment = environment or {}
        self.process: ForkedProgram | None = None
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
            self.simulator = self._own_simulator.wait_ready()
            self._prepare()
        self.start()

    def _prepare(self) -> None:
        # Preparing takes seconds each time.
        name = f"prepared {server_of(self.database_url)} for {self._names}"
        said, template = json.loads(made_once(name, self._prepared))
        copy_database(template, to=self.database_url)
        made = json.loads(said)
        self.users = {user: LiveUser(**fields) for user, fields in made["users"].items()}
        self.assistants = made["assistants"]

    def _prepared(self) -> str:
        """What `prepare` prints, and the URL of the database that it leaves."""
        environment = self.environment()
        template = new_template(self.database_url)
        copy_database(migrated_template(self.database_url, environment=environment), to=template)
        program = ["-m", "tests.servers.prepare", "seed", *self._names]
        return json.dumps([output_of(program, environment=environment | {"DATABASE_URL": template}), template])

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
            "daphne": ["manage.py", "serve"],
            "uvicorn": ["-m", "uvicorn", "chatapp.asgi:application", "--no-access-log"],
        }
        program = [*serve[self._runs_on], "--port", str(self.port), *self._flags]
        self.process = ForkedProgram(program, environment=self.environment(), shown="stderr")
        for line in self.process.lines:
            self.log += line
            if line.startswith("Serving ") or "Uvicorn running on" in line:
                self._listener = Thread(target=self._take_down, args=(self.process,), daemon=True)
                self._listener.start()
                return
        self.process.lines.close()
        raise AssertionError(f"the server did not start:\n{self.log}")

    def _take_down(self, process: ForkedProgram) -> None:
        # A server blocks once its output pipe is full, so somebody must read it.
        with process.lines:
            for line in process.lines:
                self.log += line

    def kill(self) -> None:
        """Ends the server with SIGKILL, like a crash."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ends the server with SIGTERM, as an operator would. Returns the exit code."""
        return self._end(signal.SIGTERM)

    def send_signal(self, number: signal.Signals) -> None:
        assert self.process is not None, "the server does not run"
        self.process.send_signal(number)

    def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(number)
        code = process.wait()
        if self._listener is not None:
            self._listener.join(PATIENCE_SECONDS)
        return code

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Queries the server's database directly; `?` stands for a parameter."""
        if self.database_url.startswith("sqlite"):
            with sqlite3.connect(self.database_url.removeprefix("sqlite:///"), timeout=PATIENCE_SECONDS) as connection:
                return connection.execute(sql, parameters).fetchall()
        import psycopg

        with psycopg.connect(self.database_url) as connection:
            return connection.execute(sql.replace("?", "%s"), parameters).fetchall()
