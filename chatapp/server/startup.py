"""The start of `serve` and `demo`: every problem that a person can fix becomes one sentence."""

import asyncio
import gc
import importlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DatabaseError, connection, connections

from chatapp import front_end
from chatapp.process.health import pending_migrations
from chatapp.process.upstream import UpstreamError, is_loopback
from chatapp.server.listening import ListenError
from warmcache.background.database import close_database_threads
from warmcache.background.statements import compile_all
from warmcache.core.errors import ConfigurationError
from warmcache.upstream.child_server import ChildServerError

# Slow to import, and needed for the first reply, not for the first page: anthropic alone takes seconds.
SLOW_IMPORTS = ("warmcache.upstream.anthropic", "anthropic.resources.messages", "warmcache.upstream.prices")
CONNECT_SECONDS = 5
SWITCH_SECONDS = 0.001
"""How long a thread that waits for the interpreter waits before it asks for it. The usual 5 ms add up: while the event
loop is busy, a database thread waits after each statement, and others wait for the rows that it has locked."""
BACKGROUND_THREAD = "after-start"


class StartError(Exception):
    """Why the server does not start, in one sentence."""


@contextmanager
def one_sentence_errors() -> Iterator[None]:
    """Ends the process with exit code 1 and a sentence instead of a traceback."""
    try:
        yield
    except (
        StartError,
        ListenError,
        UpstreamError,
        ChildServerError,
        ConfigurationError,
        ImproperlyConfigured,
    ) as error:
        sys.exit(str(error))
    except DatabaseError as error:
        sys.exit(sentence_about_database(error))


def sentence_about_database(error: DatabaseError) -> str:
    """What is wrong with the database, and what to do."""
    what = " ".join(str(error).split()).rstrip(".")
    if "no such table" in what or ("relation" in what and "does not exist" in what):
        return "The database lacks tables that this version needs: run `python manage.py migrate` first."
    if "unsupported startup parameter" in what:
        return f"The database refuses a setting of ours ({what}), as PgBouncer does: set PGBOUNCER=1."
    database = connection.settings_dict
    if connection.vendor != "sqlite":
        address = f"{database['NAME']} at {database['HOST'] or 'its socket'}"
        return f"The database {address} cannot be used ({what}). Check DATABASE_URL and that the server runs."
    path = database["NAME"]
    if "locked" in what:
        return f"The database {path} is locked by another program: end that one, then start again."
    if "not a database" in what or "malformed" in what:
        return f"The database {path} is damaged ({what}): move it away, or put a copy back, then start again."
    return f"The database {path} cannot be used ({what}): check that it and its folder can be read and written."


def require_own_keys(host: str) -> None:
    """Refuses the key in var/, and the simulator, for a server that others can reach."""
    public = next((name for name in (host, *settings.ALLOWED_HOSTS) if not is_loopback(name)), None)
    if public is None:
        return
    if not settings.SECRET_KEY_FROM_ENV:
        raise StartError(
            f"Serving {public} needs a SECRET_KEY of your own in the environment: make one with "
            "`python -c 'import secrets; print(secrets.token_urlsafe(50))'` and keep it."
        )
    if not settings.ANTHROPIC_API_KEY and not settings.ALLOW_SIMULATOR:
        raise StartError(
            f"Serving {public} needs an ANTHROPIC_API_KEY, or people would get simulated replies. "
            "If that is what you want, set ALLOW_SIMULATOR=1."
        )


def require_database() -> None:
    """Raises `DatabaseError` unless the database answers."""
    if connection.vendor == "sqlite":
        # SQLite notices damage only when it reads the damaged page; every query reads the schema.
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM sqlite_master")
        return
    import psycopg

    # Without the pool, which would log each attempt and then only say that it took too long.
    parameters = {**connection.get_connection_params(), "connect_timeout": CONNECT_SECONDS}
    parameters.pop("pool", None)
    with connection.wrap_database_errors:
        psycopg.connect(**parameters).close()


def require_migrations() -> None:
    require_database()
    if missing := pending_migrations():
        raise StartError(f"The database lacks {missing} migrations: run `python manage.py migrate` first.")


def require_shared_state(processes: int) -> None:
    """Requires PostgreSQL and Redis for several processes, which hold their shared state."""
    missing = [] if connection.vendor == "postgresql" else ["PostgreSQL (set DATABASE_URL)"]
    missing += [] if settings.REDIS_URL else ["Redis (set REDIS_URL)"]
    if processes > 1 and missing:
        raise StartError(f"{processes} processes need {' and '.join(missing)}; one process needs neither.")


def keep_front_end() -> None:
    """Before anything is served: a page from here may ask a process of another release for its files."""
    try:
        front_end.keep_files()
    except OSError as error:
        told = f"KEPT_STATIC_ROOT cannot take the pages' files ({error}): check that it can be written."
        raise StartError(told) from None


def migrate_if_needed() -> None:
    require_database()
    if pending_migrations():
        call_command("migrate", interactive=False, verbosity=0)


def run_server(
    listener: socket.socket,
    *,
    on_ready: Callable[[], None],
    line_end: socket.socket | None = None,
) -> None:
    """Serves until a signal ends it; exits the process with 1 if the start fails. With a line to a supervisor it is
    one of several processes on the same port."""
    # Imported here: Daphne and the application take most of the import time, and a port in use or a damaged
    # database should be reported before that.
    from channels.routing import get_default_application

    from chatapp.process import lifecycle, shutdown
    from chatapp.process.member import Member
    from chatapp.server.daphne_server import ChatServer

    server = ChatServer(
        get_default_application(),
        listener=listener,
        startup=lifecycle.startup,
        plan_shutdown=shutdown.of_server,
        on_ready=on_ready,
        member=Member(line_end) if line_end is not None else None,
    )
    # Objects made by the start-up live as long as the process: the garbage collector can ignore them.
    gc.freeze()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        server.run()
    finally:
        close_databases()
    if server.exit_code:
        sys.exit(server.exit_code)


def run_processes(listener: socket.socket, *, count: int, on_ready: Callable[[], None]) -> int:
    """Serves with `count` processes until a signal ends them. Returns the exit code."""
    from chatapp.process.supervisor import Supervisor

    close_databases()
    upstream = {
        "ANTHROPIC_API_KEY": str(settings.WARMCACHE["API_KEY"]),
        "ANTHROPIC_BASE_URL": str(settings.WARMCACHE["BASE_URL"] or ""),
    }

    async def run() -> int:
        return await Supervisor(listener, count=count, environment=upstream, on_ready=on_ready).run()

    with listener:
        return asyncio.run(run())


def close_databases() -> None:
    """Closes this thread's connection, and PostgreSQL's pool with its threads."""
    connection.close()
    close_pool = getattr(connection, "close_pool", None)
    if close_pool is not None:
        close_pool()


def in_background(*jobs: Callable[[], object]) -> None:
    """Runs the jobs one after the other in a thread that does not keep the process alive."""

    def run() -> None:
        try:
            for job in jobs:
                job()
        finally:
            connection.close()

    threading.Thread(target=run, name=BACKGROUND_THREAD, daemon=True).start()


def leave() -> None:
    """The last call of a command whose server has ended normally.

    An import in the background cannot be cancelled, and Python may crash if it shuts down in the middle of loading an
    extension module: in that case the process exits without Python's shutdown.
    """
    if any(thread.name == BACKGROUND_THREAD for thread in threading.enumerate()):
        close_database_threads()
        connections.close_all()
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def get_ready_to_answer() -> None:
    """What the first message would otherwise wait for."""
    # Without its database, a server has more to worry about than the first message.
    with suppress(DatabaseError):
        compile_all()
    # A process that ends during the imports leaves SQLite's file whole, without a journal beside it.
    connections.close_all()
    for name in SLOW_IMPORTS:
        importlib.import_module(name)
    # The SDK alone is 130,000 objects that never end: the garbage collector would stop everything for a tenth of a
    # second each time it looks at all of them.
    gc.freeze()
