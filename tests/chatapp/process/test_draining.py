"""Who is sent elsewhere when, at the end of a process."""

import logging
from collections.abc import Iterator

import pytest

from chatapp.process import draining, open_sockets
from chatapp.process.draining import REPLIES_SECONDS, SPREAD_SECONDS
from chatapp.protocol import CLOSE_RESTARTING
from chatapp.replies import registry


class World:
    """A clock that moves when somebody sleeps, and replies that end at their time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.replies_end_at: list[float] = []
        self.interrupted_at: float | None = None
        monkeypatch.setattr(registry, "count", lambda: len(self.running()))
        monkeypatch.setattr(registry, "interrupt_all", self.interrupt_all)

    def running(self) -> list[float]:
        return [end for end in self.replies_end_at if end > self.now]

    async def interrupt_all(self) -> None:
        self.interrupted_at = self.now
        self.replies_end_at = [min(end, self.now) for end in self.replies_end_at]

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def drain(self) -> None:
        await draining.drain(clock=lambda: self.now, sleep=self.sleep)


class Socket:
    def __init__(self, world: World, *, reads_until: float = 0.0, works_until: float = 0.0) -> None:
        self._world = world
        self._reads_until = reads_until
        self._works_until = works_until
        self.closed_at: float | None = None
        self.code: int | None = None
        open_sockets.add(self)

    @property
    def is_working(self) -> bool:
        return self._world.now < self._works_until

    @property
    def is_reading(self) -> bool:
        return self._world.now < self._reads_until and self._world.interrupted_at is None

    async def close(self, code: int) -> None:
        self.closed_at, self.code = self._world.now, code


@pytest.fixture
def world(monkeypatch) -> Iterator[World]:
    yield World(monkeypatch)
    for socket in open_sockets.listed():
        open_sockets.discard(socket)


async def test_a_process_with_a_tab_or_two_ends_at_once(world):
    sockets = [Socket(world) for _ in range(2)]

    await world.drain()

    assert {socket.code for socket in sockets} == {CLOSE_RESTARTING}
    assert world.now < 0.5


@pytest.mark.parametrize("count", [100, 1_000, 5_000])
async def test_many_leave_a_few_at_a_time_within_the_spread(world, count):
    sockets = [Socket(world) for _ in range(count)]

    await world.drain()

    closed_at = sorted(socket.closed_at for socket in sockets)
    at_once = max(closed_at.count(moment) for moment in set(closed_at))
    assert closed_at[-1] <= SPREAD_SECONDS
    assert at_once <= max(1, count // 100)


async def test_idle_ones_leave_first_and_readers_when_their_reply_has_ended(world):
    world.replies_end_at = [8.0]
    reader, idle = Socket(world, reads_until=8.0), Socket(world)

    await world.drain()

    assert idle.closed_at < 1.0
    assert 8.0 <= reader.closed_at < 9.0
    assert world.interrupted_at >= 8.0


async def test_work_in_progress_is_let_end(world):
    sender = Socket(world, works_until=2.0)

    await world.drain()

    assert 2.0 <= sender.closed_at < 3.0


async def test_who_reads_what_another_process_writes_need_not_wait_for_it(world):
    reader = Socket(world, reads_until=15.0)

    await world.drain()

    assert reader.closed_at < 1.0


async def test_replies_that_take_too_long_are_interrupted_and_then_everybody_goes(world):
    world.replies_end_at = [60.0]
    reader = Socket(world, reads_until=60.0)

    await world.drain()

    assert REPLIES_SECONDS <= world.interrupted_at < REPLIES_SECONDS + 0.5
    assert reader.closed_at >= world.interrupted_at
    assert world.now < REPLIES_SECONDS + 2


async def test_a_reply_without_a_reader_is_waited_for_too(world):
    world.replies_end_at = [5.0]

    await world.drain()

    assert world.interrupted_at >= 5.0


async def test_a_socket_that_fails_to_close_does_not_keep_the_others(world, caplog):
    class Broken(Socket):
        async def close(self, code: int) -> None:
            raise RuntimeError("gone")

    caplog.set_level(logging.CRITICAL, "chatapp.process.draining")
    broken, other = Broken(world), Socket(world)

    await world.drain()

    assert broken.code is None
    assert other.code == CLOSE_RESTARTING
