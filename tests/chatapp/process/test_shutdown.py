"""The graceful shutdown: who is sent elsewhere when, and what a step that hangs costs the others: nothing."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator

import pytest

from chatapp.process import open_sockets, shutdown
from chatapp.process.shutdown import LastResort, Schedule, Step
from chatapp.protocol import CLOSE_RESTARTING
from chatapp.replies import actions, registry
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ROOT

REPLIES_SECONDS = 20.0
SPREAD_SECONDS = 10.0


class World:
    """A clock that moves when somebody sleeps, and replies that end at their time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.replies_end_at: list[float] = []
        self.interrupted_at: float | None = None
        monkeypatch.setattr(registry, "count", lambda: len(self.running()))
        monkeypatch.setattr(registry, "interrupt_all", self.interrupt_all)
        monkeypatch.setattr(actions, "leave_the_queue", lambda: None)

    def running(self) -> list[float]:
        return [end for end in self.replies_end_at if end > self.now]

    async def interrupt_all(self) -> None:
        self.interrupted_at = self.now
        self.replies_end_at = [min(end, self.now) for end in self.replies_end_at]

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def drain(self) -> None:
        await shutdown.let_replies_finish(REPLIES_SECONDS, clock=lambda: self.now, sleep=self.sleep)
        await shutdown.interrupt_replies(PATIENCE_SECONDS)
        await shutdown.let_readers_hear_the_end(PATIENCE_SECONDS, sleep=self.sleep)
        await shutdown.close_sockets(PATIENCE_SECONDS)


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

    assert REPLIES_SECONDS - 0.5 <= world.interrupted_at < REPLIES_SECONDS + 0.5
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

    caplog.set_level(logging.CRITICAL, "chatapp.process.shutdown")
    broken, other = Broken(world), Socket(world)

    await world.drain()

    assert broken.code is None
    assert other.code == CLOSE_RESTARTING


def step_of(name: str, run, *, seconds: float = PATIENCE_SECONDS) -> Step:
    return Step(name=name, seconds=seconds, run=run, lost=f"what {name} does")


def recorder(told: list[str], name: str):
    async def run(seconds: float) -> None:
        told.append(name)

    return run


async def hang(seconds: float) -> None:
    await asyncio.Event().wait()


async def test_a_step_that_hangs_is_cut_off_and_said_and_the_next_one_runs(caplog):
    told: list[str] = []
    steps = [step_of("hanging", hang, seconds=0.01), step_of("next", recorder(told, "next"))]

    await Schedule(steps, promised_seconds=sum(step.seconds for step in steps)).run()

    assert told == ["next"]
    assert "'hanging' was cut off" in caplog.text
    assert "Lost: what hanging does." in caplog.text


async def test_a_step_that_does_not_even_obey_its_cancellation_holds_nobody(caplog):
    told: list[str] = []
    may_end = asyncio.Event()

    async def disobey(seconds: float) -> None:
        while not may_end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await may_end.wait()
        told.append("disobedient")

    steps = [step_of("disobedient", disobey, seconds=0.01), step_of("next", recorder(told, "next"))]

    await Schedule(steps, promised_seconds=2 * PATIENCE_SECONDS).run()
    told_in_time = list(told)
    may_end.set()
    while len(told) < 2:  # noqa: ASYNC110 - nobody tells of its end
        await asyncio.sleep(0)

    assert told_in_time == ["next"]


async def test_a_step_that_fails_is_said_and_the_next_one_runs(caplog):
    told: list[str] = []

    async def fail(seconds: float) -> None:
        raise OSError("the disk is full")

    await Schedule([step_of("failing", fail), step_of("next", recorder(told, "next"))], promised_seconds=1e9).run()

    assert told == ["next"]
    assert "'failing' failed. Lost: what failing does." in caplog.text


def test_a_schedule_that_may_take_longer_than_was_promised_is_refused():
    with pytest.raises(ValueError, match=r"may take 3 s; 2\.5 s are promised"):
        Schedule([step_of("long", hang, seconds=3)], promised_seconds=2.5)


@pytest.mark.parametrize("seconds", [1, 30, 3600])
@pytest.mark.parametrize("plan", [lambda: shutdown.of_server(hang), shutdown.of_application])
def test_the_steps_keep_what_serve_promises_however_long_that_is(settings, seconds, plan):
    settings.SHUTDOWN_SECONDS = seconds

    schedule = plan()

    assert 0 < schedule.total_seconds < seconds
    assert schedule.total_seconds == sum(step.seconds for step in schedule.steps)


def test_the_usual_bounds_are_those_that_the_readme_and_the_protocol_tell(settings):
    settings.SHUTDOWN_SECONDS = shutdown.USUAL_SECONDS
    usual = shutdown.of_server(hang).steps[0]

    assert (usual.name, usual.seconds) == ("running replies finish", REPLIES_SECONDS)
    assert "finish for up to 20 s" in (ROOT / "README.md").read_text()
    assert "ends within 30 s" in (ROOT / "README.md").read_text()
    protocol = (ROOT / "chatapp" / "PROTOCOL.md").read_text()
    assert "over up to 10 s" in protocol
    assert "within 20 s" in protocol


def test_what_still_hangs_after_everything_is_ended_by_force(caplog):
    ended = threading.Event()
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    last_resort = LastResort(end=end)

    last_resort.end_within(3600, exit_code=1)
    last_resort.end_within(0.01, exit_code=0)
    last_resort.end_within(3600, exit_code=1)

    assert ended.wait(PATIENCE_SECONDS)
    assert codes == [0]
    assert "ended by force" in caplog.text
