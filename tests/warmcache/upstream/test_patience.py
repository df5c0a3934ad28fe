"""One timer ends whichever wait takes too long, and no other."""

import asyncio

import pytest

from tests.servers import PATIENCE_SECONDS
from warmcache.upstream.patience import Patience


async def test_a_wait_that_ends_in_time_gives_its_result() -> None:
    patience = Patience()

    assert await patience.wait(asyncio.sleep(0, "done"), seconds=PATIENCE_SECONDS) == "done"

    patience.close()


async def test_a_wait_that_takes_too_long_is_ended() -> None:
    patience = Patience()

    with pytest.raises(TimeoutError):
        await patience.wait(asyncio.Event().wait(), seconds=0.02)

    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_a_wait_may_be_shorter_than_the_one_before() -> None:
    patience = Patience()
    await patience.wait(asyncio.sleep(0), seconds=PATIENCE_SECONDS)

    with pytest.raises(TimeoutError):
        await patience.wait(asyncio.Event().wait(), seconds=0.02)


async def test_the_time_between_waits_counts_for_none_of_them() -> None:
    patience = Patience()
    await patience.wait(asyncio.sleep(0), seconds=0.02)
    await asyncio.sleep(0.05)

    assert await patience.wait(asyncio.sleep(0.01, "done"), seconds=PATIENCE_SECONDS) == "done"

    patience.close()


async def test_many_waits_arm_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    armed = []
    call_at = loop.call_at
    monkeypatch.setattr(loop, "call_at", lambda *args, **more: armed.append(args[0]) or call_at(*args, **more))
    patience = Patience()

    for _ in range(100):
        await patience.wait(asyncio.sleep(0), seconds=PATIENCE_SECONDS)
    patience.close()

    assert len(armed) == 1


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    patience = Patience()
    waiting = asyncio.create_task(patience.wait(asyncio.Event().wait(), seconds=PATIENCE_SECONDS))
    await asyncio.sleep(0)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    patience.close()
