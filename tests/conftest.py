"""Fixtures for every test: a database that threads can share, real servers, and a real browser."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

import hypothesis
import pytest
from django.conf import settings
from django.db import connection

from tests import empty_tables
from tests.browsers import Chromium, chromium_executable
from tests.servers import PATIENCE_SECONDS, MissingServerError
from tests.servers.chat_server import ChatServer, clean_environment
from tests.servers.databases import copy_database, drop_database, migrated_template, name_of
from tests.servers.once import shared_folder
from tests.servers.postgres_server import PostgresServer, create_database
from tests.servers.redis_server import RedisServer
from warmcache import sync
from warmcache.background.database import thread_load

Made = TypeVar("Made")

# Machines are busy: no example fails because it is slow. Every run tries the same examples, so that what fails was
# broken by the change; `make soak` tries others.
PATIENT = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("patient", PATIENT)
hypothesis.settings.register_profile("same-each-time", PATIENT, derandomize=True)
hypothesis.settings.load_profile("patient" if os.environ.get("EXPLORE") else "same-each-time")
DATABASE_FIXTURES = {"db", "transactional_db", "live_server_process", "start_chat_server"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database-only", action="store_true", help="only what depends on the database")


def pytest_configure(config: pytest.Config) -> None:
    # If a shell starts us in the background, we and all our child processes ignore Ctrl-C.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    shared_folder()  # made by the process that starts the workers
    # A key or a Redis in the developer's shell must not be spent or emptied by tests.
    settings.ANTHROPIC_API_KEY = settings.ANTHROPIC_BASE_URL = settings.REDIS_URL = ""
    settings.WARMCACHE = {
        **settings.WARMCACHE,
        "API_KEY": "",
        "BASE_URL": None,
        "REDIS_URL": "",
        "UPSTREAM": "simulator",
        # Tests answer at once: the forecasts would learn from it that nothing is worth warming.
        "LEARNS": False,
    }
    # Tests count requests, and dictate replies in their order.
    settings.TITLE_MODEL = ""
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "chatapp.socket.memory_layer.MemoryLayer"}}
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.timeout(0))
    if config.getoption("--database-only"):
        kept = [item for item in items if uses_database(item) and not item.get_closest_marker("any_database")]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept
    # The workers take the files in this order: one that waits for processes must not be the last one.
    items.sort(key=lambda item: not starts_processes(item))


def starts_processes(item: pytest.Item) -> bool:
    """Whether the item's file starts servers or commands, and so takes long without working much."""
    return any(hasattr(item.module, name) for name in ("ChatServer", "ChatPage", "open_tabs", "subprocess"))  # type: ignore[attr-defined]


def uses_database(item: pytest.Item) -> bool:
    return bool(item.get_closest_marker("django_db")) or bool(
        DATABASE_FIXTURES & set(getattr(item, "fixturenames", ()))
    )


@pytest.fixture(autouse=True)
def no_write_outlives_its_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ends what a test has left running in threads before its database is emptied: a row that is written afterwards
    would stay for every test that follows."""
    if "_django_db_helper" in request.fixturenames:
        request.getfixturevalue("_django_db_helper")  # what is set up first is torn down last
    yield
    sync.close()
    until = time.monotonic() + PATIENCE_SECONDS
    while (load := thread_load()).busy or load.waiting:
        assert time.monotonic() < until, "A call to the database does not end."
        time.sleep(0.01)


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, new_database: Callable[[], str], django_db_blocker: Any
) -> Iterator[None]:
    """The database of this worker: a copy of one that is migrated once for all workers. SQLite's is a file, because
    threads lock each other out of one in memory."""
    url = new_database()
    copy_database(migrated_template(url, environment=clean_environment()), to=url)
    with django_db_blocker.unblock():
        connection.close()
        connection.settings_dict["NAME"] = name_of(url)
        if connection.vendor == "postgresql":
            # On a machine that runs many tests at once, a statement may take longer.
            connection.settings_dict["OPTIONS"]["options"] = "-c statement_timeout=60000"
        with ExitStack() as stack:
            stack.enter_context(empty_tables.only_what_has_rows())
            with django_db_blocker.block():
                yield
        connection.close()
        if connection.vendor == "postgresql":
            connection.close_pool()
    drop_database(url)


def _or_skip(make: Callable[[], Made]) -> Made:
    """Skips the test if the machine lacks a server; in CI nothing may be missing."""
    try:
        return make()
    except MissingServerError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def _redis() -> Iterator[RedisServer]:
    with ExitStack() as stack:
        yield _or_skip(lambda: stack.enter_context(RedisServer()))


@pytest.fixture
def redis_server(_redis: RedisServer) -> RedisServer:
    """A real Redis, empty; a test may kill and start it."""
    import redis

    with redis.Redis.from_url(_redis.url) as client:
        client.flushall()
    return _redis


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL; `create_database` gives a test its own database."""
    with ExitStack() as stack:
        yield _or_skip(lambda: stack.enter_context(PostgresServer()))


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Creates an empty database of the kind that this run tests; returns its URL."""

    def make() -> str:
        if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
            return f"sqlite:///{tmp_path_factory.mktemp('live') / 'db.sqlite3'}"
        return create_database(os.environ["DATABASE_URL"])

    return make


@pytest.fixture
def start_chat_server(new_database: Callable[[], str]) -> Iterator[Callable[..., ChatServer]]:
    """Starts real servers with options of `ChatServer`; they end with the test."""
    with ExitStack() as stack:

        def start(**options: Any) -> ChatServer:
            beside = options.get("beside")
            options.setdefault("database_url", beside.database_url if beside else new_database())
            return stack.enter_context(ChatServer(**options))

        yield start


@pytest.fixture(scope="module")
def live_server_process(new_database: Callable[[], str]) -> Iterator[ChatServer]:
    """One real server for the tests of a module, with an instant simulator without noise."""
    with ChatServer(database_url=new_database()) as server:
        yield server


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """The distribution's Chromium; each test opens contexts of its own: see `tests/browser`."""
    executable = _or_skip(chromium_executable)
    with Chromium(executable) as browser:
        yield browser
