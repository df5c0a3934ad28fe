"""Timers by key: once, replaceable, bounded, and no more at once than there is room for."""

import asyncio

import pytest

from tests.servers import PATIENCE_SECONDS
from warmcache.background.tasks import TaskOwner
from warmcache.background.timers import MAX_RUNNING, Timer, Timers
from warmcache.testing import FakeClock


@pytest.fixture
def timers(clock: FakeClock) -> Timers:
    return Timers(clock=clock, tasks=TaskOwner("test"), max_timers=20)


class Noted:
    """Actions that note their name; one that is `held` ends with `released`."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.released = asyncio.Event()

    def timer(self, name: str, at: float, *, is_held: bool = False, again: Timer | None = None) -> Timer:
        async def action() -> Timer | None:
            self.names.append(name)
            if is_held:
                await self.released.wait()
            return again

        return Timer(at=at, action=action)


@pytest.fixture
def noted() -> Noted:
    return Noted()


async def fire(timers: Timers) -> None:
    await asyncio.gather(*timers.fire_due())


async def test_an_action_runs_when_its_time_has_come_and_once(timers: Timers, clock: FakeClock, noted: Noted) -> None:
    timers.set("a", noted.timer("a", clock.now() + 10))

    await fire(timers)
    early = list(noted.names)
    clock.advance(10)
    await fire(timers)
    await fire(timers)

    assert (early, noted.names) == ([], ["a"])


async def test_what_is_set_again_or_cancelled_does_not_run(timers: Timers, clock: FakeClock, noted: Noted) -> None:
    timers.set("a", noted.timer("first", clock.now()))
    timers.set("a", noted.timer("second", clock.now()))
    timers.set("b", noted.timer("third", clock.now()))
    timers.cancel("b")
    timers.cancel("nothing")

    await fire(timers)

    assert noted.names == ["second"]


async def test_an_action_says_what_is_due_next(timers: Timers, clock: FakeClock, noted: Noted) -> None:
    later = noted.timer("later", clock.now() + 60)
    timers.set("a", noted.timer("now", clock.now(), again=later))

    await fire(timers)

    assert timers.due_at("a") == later.at


@pytest.mark.parametrize("meanwhile", ["cancel", "set"])
async def test_what_happens_to_a_key_during_its_action_has_the_last_word(
    timers: Timers, clock: FakeClock, noted: Noted, meanwhile: str
) -> None:
    timers.set("a", noted.timer("now", clock.now(), is_held=True, again=noted.timer("again", clock.now() + 1)))
    begun = timers.fire_due()
    await asyncio.sleep(0)

    if meanwhile == "cancel":
        timers.cancel("a")
    else:
        timers.set("a", noted.timer("other", clock.now() + 2))
    noted.released.set()
    await asyncio.gather(*begun)

    assert timers.due_at("a") == (None if meanwhile == "cancel" else clock.now() + 2)


async def test_a_burst_waits_for_its_turn(timers: Timers, clock: FakeClock, noted: Noted) -> None:
    for number in range(MAX_RUNNING + 3):
        timers.set(f"{number}", noted.timer(f"{number}", clock.now(), is_held=True))

    begun = timers.fire_due()
    assert timers.fire_due() == []
    noted.released.set()
    await asyncio.gather(*begun)
    await fire(timers)

    assert len(begun) == MAX_RUNNING
    assert sorted(noted.names, key=int) == [f"{number}" for number in range(MAX_RUNNING + 3)]


async def test_an_action_that_fails_makes_room(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    timers = Timers(clock=clock, tasks=TaskOwner("test"))

    async def fail() -> Timer | None:
        raise ValueError("no")

    for number in range(MAX_RUNNING):
        timers.set(f"{number}", Timer(at=clock.now(), action=fail))
    await asyncio.gather(*timers.fire_due(), return_exceptions=True)
    timers.set("last", Timer(at=clock.now(), action=fail))

    last = timers.fire_due()
    await asyncio.gather(*last, return_exceptions=True)

    assert len(last) == 1
    failures = [record.exc_info[0] for record in caplog.records if record.exc_info]
    assert failures == [ValueError] * (MAX_RUNNING + 1)


async def test_beyond_the_bound_the_oldest_is_dropped(timers: Timers, clock: FakeClock, noted: Noted) -> None:
    for number in range(25):
        timers.set(f"{number}", noted.timer(f"{number}", clock.now() + 60))

    assert len(timers) == 20
    assert timers.due_at("4") is None
    assert timers.due_at("5") is not None


async def test_by_itself_it_fires_as_time_goes_on(timers: Timers, clock: FakeClock, noted: Noted) -> None:
    running = asyncio.get_running_loop().create_task(timers.run_forever())
    done = asyncio.Event()

    async def action() -> Timer | None:
        done.set()
        return None

    await asyncio.sleep(0)
    timers.set("a", Timer(at=clock.now(), action=action))

    async with asyncio.timeout(PATIENCE_SECONDS):
        await done.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
