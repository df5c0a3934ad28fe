"""One socket's work, in order, beside the taking of frames."""

import asyncio
from collections.abc import Awaitable, Callable

from chatapp.socket.lane import Lane


def noting(done: list[str], name: str, gate: asyncio.Event | None = None) -> Callable[[], Awaitable[None]]:
    async def job() -> None:
        if gate is not None:
            await gate.wait()
        done.append(name)

    return job


async def test_jobs_run_in_the_order_of_their_coming():
    lane, done, gate = Lane("test"), list[str](), asyncio.Event()
    lane.put(noting(done, "slow", gate))
    lane.put(noting(done, "quick"))
    await asyncio.sleep(0)
    before = list(done)

    gate.set()
    await lane.caught_up(timeout_seconds=10)

    assert (before, done, len(lane)) == ([], ["slow", "quick"], 0)


async def test_an_empty_lane_is_caught_up_at_once_and_owns_no_task():
    lane = Lane("test")
    tasks = asyncio.all_tasks()

    await lane.caught_up(timeout_seconds=0)

    assert len(lane) == 0
    assert asyncio.all_tasks() == tasks


async def test_who_waits_for_it_does_not_wait_for_ever():
    lane = Lane("test")
    lane.put(asyncio.Event().wait)

    await lane.caught_up(timeout_seconds=0.01)

    assert len(lane) > 0
    await lane.close(timeout_seconds=0)


async def test_closing_lets_work_be_done_and_cancels_what_is_stuck():
    lane, done, gate = Lane("test"), list[str](), asyncio.Event()
    lane.put(noting(done, "first"))
    lane.put(noting(done, "second"))

    await lane.close(timeout_seconds=10)
    lane.put(noting(done, "stuck", gate))
    lane.put(noting(done, "behind it"))
    await lane.close(timeout_seconds=0)

    assert done == ["first", "second"]
    assert len(lane) == 0
