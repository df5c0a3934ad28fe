"""The async API from synchronous code of an async server."""

import asyncio
from collections.abc import Iterator

import pytest

from warmcache import bridge
from warmcache.runtime import wiring as runtimes


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(runtimes, "_home", None)
    yield


async def running_loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


async def test_a_thread_gets_its_answer_from_the_loop_that_the_server_has_adopted() -> None:
    runtimes.adopt_loop()

    assert await asyncio.to_thread(bridge.call, running_loop) is asyncio.get_running_loop()


async def test_in_the_loops_own_thread_it_is_refused_instead_of_waiting_for_ever() -> None:
    runtimes.adopt_loop()

    with pytest.raises(RuntimeError, match="would block this event loop"):
        bridge.call(running_loop)
