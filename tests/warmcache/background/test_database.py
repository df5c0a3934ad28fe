import asyncio
import contextvars
import threading

import pytest

from tests.servers import PATIENCE_SECONDS
from warmcache.background.database import DATABASE_THREADS, in_database_thread


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
    gate, names = threading.Barrier(DATABASE_THREADS), set()

    def meet() -> None:
        names.add(threading.current_thread().name)
        gate.wait(PATIENCE_SECONDS)

    await asyncio.gather(*(in_database_thread(meet) for _ in range(2 * DATABASE_THREADS)))

    assert len(names) == DATABASE_THREADS < 10


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
