import asyncio
import contextvars
import threading
from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.counting import counted
from tests.servers import PATIENCE_SECONDS
from warmcache.background import database
from warmcache.background.database import DatabaseThreads, in_database_thread, most_threads, ping
from warmcache.models import SkipCount


async def test_it_runs_outside_the_event_loops_thread_and_gives_the_result() -> None:
    here = threading.get_ident()

    assert await in_database_thread(threading.get_ident) != here
    assert await in_database_thread(lambda first, second: first + second, 1, second=2) == 3


async def test_an_exception_reaches_whoever_waits() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_database_thread(lambda: 1 // 0)


async def test_the_callers_context_comes_along() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("from the caller")

    assert await in_database_thread(variable.get) == "from the caller"


async def test_a_slow_query_does_not_hold_up_the_others() -> None:
    slow = threading.Event()
    waiting = asyncio.create_task(in_database_thread(slow.wait, PATIENCE_SECONDS))

    assert await in_database_thread(lambda: "quick") == "quick"
    slow.set()
    assert await waiting


async def test_no_more_threads_than_a_pool_has_connections() -> None:
    gate, names = threading.Barrier(most_threads()), set()

    def meet() -> None:
        names.add(threading.current_thread().name)
        gate.wait(PATIENCE_SECONDS)

    await asyncio.gather(*(in_database_thread(meet) for _ in range(2 * most_threads())))

    assert len(names) == most_threads() < 10


async def test_a_caller_that_leaves_does_not_stop_the_write() -> None:
    entered, gate, written = threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        entered.set()
        gate.wait(PATIENCE_SECONDS)
        written.set()

    waiting = asyncio.create_task(in_database_thread(write))
    assert await asyncio.to_thread(entered.wait, PATIENCE_SECONDS)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()

    assert await asyncio.to_thread(written.wait, PATIENCE_SECONDS)


def ask() -> str:
    ping()
    return threading.current_thread().name


@pytest.mark.django_db(transaction=True)
class TestConnections:
    async def test_calls_one_after_the_other_share_a_thread_and_its_connection(self) -> None:
        await in_database_thread(ping)

        with counted() as counts:
            names = {await in_database_thread(ask) for _ in range(50)}

        assert (len(names), counts.new_connections, counts.hops) == (1, 0, 50)
        assert len(counts.statements) == 50  # no check goes before a call

    async def test_a_connection_that_had_an_error_is_not_used_again(self) -> None:
        def fail() -> None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT nonsense FROM nowhere")

        await in_database_thread(ping)
        with pytest.raises(DatabaseError):
            await in_database_thread(fail)

        assert not await in_database_thread(lambda: connection.connection)
        await in_database_thread(ping)

    async def test_a_transaction_that_a_call_has_left_open_is_undone(self) -> None:
        def leave_open() -> None:
            connection.set_autocommit(False)
            SkipCount.objects.create(minute=datetime.now(UTC), intent="open", reason="left")

        await in_database_thread(leave_open)

        assert await in_database_thread(SkipCount.objects.count) == 0

    @pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no server that ends a connection")
    async def test_a_connection_that_the_server_has_ended_is_noticed_before_the_next_call(self) -> None:
        def own_pid() -> int:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                return int(cursor.fetchone()[0])

        pid = await in_database_thread(own_pid)
        await asyncio.to_thread(end_backend, pid)

        assert await in_database_thread(own_pid) != pid

    async def test_the_threads_close_their_connections_when_they_end(self) -> None:
        threads = DatabaseThreads()
        left: list[BaseDatabaseWrapper] = []

        def note() -> None:
            ping()
            left.append(connections["default"])

        def run() -> None:
            asyncio.run(database.in_database_thread(note))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(database, "_threads", threads)
            await asyncio.to_thread(run)
            await asyncio.to_thread(threads.close)

            with pytest.raises(RuntimeError):
                await database.in_database_thread(ping)

        (kept,) = left
        assert kept.connection is None


def end_backend(pid: int) -> None:
    """Returns when it is gone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, %s)", [pid, round(PATIENCE_SECONDS * 1000)])
    connection.close()
