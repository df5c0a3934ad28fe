import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest
from django.db import IntegrityError, OperationalError

from tests.servers import PATIENCE_SECONDS
from warmcache.core.errors import LedgerBehind, LedgerClosed
from warmcache.ledger import rows
from warmcache.ledger import writer as ledgers
from warmcache.ledger.writer import Ledger
from warmcache.testing import FakeClock


@pytest.fixture
async def ledger(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ledger]:
    """A ledger that writes into lists instead of a database."""
    monkeypatch.setattr(rows, "sweep", lambda now: 0)
    ledger = Ledger(clock=clock)
    writer = asyncio.create_task(ledger.write_forever())
    yield ledger
    writer.cancel()
    ledger.close()


class Gate:
    """A write that stays in its thread until it is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self.is_entered = threading.Event()

    def __call__(self) -> str:
        self.is_entered.set()
        assert self._open.wait(PATIENCE_SECONDS)
        return "through"

    def open(self) -> None:
        self._open.set()


async def entered(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.is_entered.wait, PATIENCE_SECONDS)


async def test_writes_happen_in_the_order_in_which_they_were_posted(ledger: Ledger) -> None:
    written: list[int] = []
    for number in range(20):
        ledger.post(lambda number=number: written.append(number))

    await ledger.perform(lambda: None)

    assert written == list(range(20))


async def test_whoever_waits_gets_the_result_or_the_error(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise ValueError("no room")

    assert await ledger.perform(lambda: 7) == 7
    with pytest.raises(ValueError, match="no room"):
        await ledger.perform(fail)
    assert "A write to the ledger failed" in caplog.text


async def test_a_failed_write_does_not_stop_the_next(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    ledger.post(lambda: 1 // 0)

    assert await ledger.perform(lambda: "written") == "written"


async def test_a_full_queue_drops_counts_and_says_so(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ledgers, "MAX_PENDING_WRITES", 2)
    ledger = Ledger(clock=clock)

    for _ in range(5):
        ledger.post(lambda: None)

    assert ledger.dropped_writes == 3
    assert "full queue; 3 writes dropped" in caplog.text


async def test_a_kept_write_that_found_no_room_before_its_owner_had_to_go_on_is_counted(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "MAX_PENDING_WRITES", 1)
    ledger = Ledger(clock=clock)
    ledger.post(lambda: None)

    for is_kept in (True, False):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await ledger.perform(lambda: None, is_kept=is_kept)

    assert (ledger.dropped_writes, ledger.waiting_writes) == (1, 1)


async def test_whoever_waits_is_told_when_the_ledger_closes(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ledgers, "MAX_PENDING_WRITES", 2)
    ledger, gate = Ledger(clock=clock), Gate()
    writer = asyncio.create_task(ledger.write_forever())
    waiting = [asyncio.create_task(ledger.perform(gate)) for _ in range(6)]
    await entered(gate)

    writer.cancel()
    await asyncio.wait({writer})
    ledger.close()
    async with asyncio.timeout(PATIENCE_SECONDS):
        ends = await asyncio.gather(*waiting, return_exceptions=True)
    gate.open()

    assert [type(end) for end in ends] == [LedgerClosed] * 6
    with pytest.raises(LedgerClosed):
        await ledger.perform(lambda: None)


async def test_a_post_to_a_closed_ledger_is_counted_as_lost(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    ledger = Ledger(clock=clock)
    ledger.close()

    ledger.post(lambda: None)

    assert ledger.dropped_writes == 1


async def test_one_who_stops_waiting_does_not_stop_the_write(ledger: Ledger) -> None:
    gate, written = Gate(), []

    def write() -> None:
        gate()
        written.append("row")

    waiting = asyncio.create_task(ledger.perform(write))
    await entered(gate)
    waiting.cancel()
    await asyncio.wait({waiting})
    gate.open()
    await ledger.perform(lambda: None)

    assert written == ["row"]


async def test_skips_are_bounded_and_flushed_once(
    ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[dict[tuple[float, str, str, str], int]] = []
    monkeypatch.setattr(rows, "add_skip_counts", flushed.append)
    monkeypatch.setattr(ledgers, "MAX_SKIP_COUNTERS", 2)
    for label in ("a", "b", "c", "a"):
        ledger.count_skip(label=label, intent="typing", reason="already_warm")

    await ledger.flush()
    await ledger.flush()

    minute = clock.now() // 60 * 60
    assert flushed == [{(minute, "a", "typing", "already_warm"): 2, (minute, "b", "typing", "already_warm"): 1}]


async def test_a_flush_returns_only_when_all_before_it_is_written(ledger: Ledger) -> None:
    gate, done = Gate(), []
    ledger.post(gate)
    flushing = asyncio.create_task(ledger.flush())
    flushing.add_done_callback(lambda _: done.append("flushed"))
    await entered(gate)
    assert done == []

    gate.open()
    await flushing


async def test_a_flush_of_a_closed_ledger_ends(clock: FakeClock) -> None:
    ledger = Ledger(clock=clock)
    ledger.close()

    async with asyncio.timeout(PATIENCE_SECONDS):
        await ledger.flush()


@pytest.mark.parametrize("write", [lambda: None, lambda: 1 // 0])
async def test_a_writer_is_never_left_with_a_future_that_nobody_reads(
    ledger: Ledger, write: Callable[[], object], caplog: pytest.LogCaptureFixture
) -> None:
    waiting = asyncio.create_task(ledger.perform(write))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})

    assert await ledger.perform(lambda: "next") == "next"


class Outage:
    """A database that fails until it is back, and a sleep that takes no time and counts itself."""

    def __init__(self) -> None:
        self.is_over = threading.Event()
        self.sleeps: list[float] = []
        self.failed = asyncio.Event()
        self.slept_often = asyncio.Event()

    def strike(self) -> None:
        if not self.is_over.is_set():
            raise OperationalError("the server closed the connection unexpectedly")

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.failed.set()
        if len(self.sleeps) == 8:
            self.slept_often.set()
        await asyncio.sleep(0)


@pytest.fixture
async def outage() -> Outage:
    return Outage()


@pytest.fixture
async def struck(
    clock: FakeClock, outage: Outage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Ledger]:
    """A ledger whose database is down."""
    monkeypatch.setattr(rows, "sweep", lambda now: outage.strike())
    monkeypatch.setattr(ledgers, "FLUSH_PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr(rows, "ping", outage.strike)
    ledger = Ledger(clock=clock, sleep=outage.sleep)
    writer = asyncio.create_task(ledger.write_forever())
    yield ledger
    writer.cancel()
    ledger.close()


async def test_a_database_that_is_down_for_a_while_loses_no_row_and_keeps_their_order(
    struck: Ledger, outage: Outage
) -> None:
    written: list[int] = []

    def write(number: int) -> None:
        outage.strike()
        written.append(number)

    for number in range(200):
        struck.post(lambda number=number: write(number))
    await outage.failed.wait()
    lost_so_far, is_behind = list(written), struck.is_behind
    outage.is_over.set()
    await struck.drain()

    assert (lost_so_far, is_behind) == ([], True)
    assert written == list(range(200))
    assert (struck.dropped_writes, struck.is_behind, struck.waiting_writes) == (0, False, 0)


async def test_the_pauses_between_tries_grow_to_a_bound(struck: Ledger, outage: Outage) -> None:
    struck.post(outage.strike)
    await outage.slept_often.wait()

    outage.is_over.set()
    await struck.drain()

    assert outage.sleeps[:7] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


async def test_nobody_waits_for_a_database_that_is_down_and_a_kept_write_is_done_later(
    struck: Ledger, outage: Outage
) -> None:
    written: list[str] = []

    def write(word: str) -> None:
        outage.strike()
        written.append(word)

    with pytest.raises(LedgerBehind):
        await struck.perform(lambda: write("first"), is_kept=True)
    with pytest.raises(LedgerBehind):
        await struck.perform(lambda: write("second"), is_kept=True)
    with pytest.raises(LedgerBehind):
        await struck.perform(lambda: write("not kept"))
    assert await struck.flush() is False
    outage.is_over.set()
    await struck.drain()

    assert written == ["first", "second"]


async def test_a_write_that_is_not_kept_is_its_callers_to_try_again(struck: Ledger, outage: Outage) -> None:
    with pytest.raises(OperationalError):
        await struck.perform(outage.strike)

    assert (struck.is_behind, struck.waiting_writes) == (False, 0)


async def test_a_write_that_alone_fails_is_given_up_and_counted(clock: FakeClock, outage: Outage) -> None:
    outage.is_over.set()
    ledger = Ledger(clock=clock, sleep=outage.sleep)

    def broken() -> None:
        raise OperationalError("too many SQL variables")

    ledger.post(broken)
    writer = asyncio.create_task(ledger.write_forever())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "ping", outage.strike)
        written = await ledger.perform(lambda: "the next")
    writer.cancel()

    assert (written, ledger.dropped_writes) == ("the next", 1)
    assert len(outage.sleeps) == ledgers.MAX_FAILURES_WHILE_UP - 1


async def test_a_row_that_was_written_although_its_answer_was_lost_is_no_error(
    clock: FakeClock, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "ping", outage.strike)
    ledger = Ledger(clock=clock, sleep=outage.sleep)
    errors = [OperationalError("the answer was lost"), IntegrityError("it is there already")]

    def write() -> None:
        raise errors.pop(0)

    ledger.post(write)
    writer = asyncio.create_task(ledger.write_forever())
    assert await ledger.perform(lambda: "the next") == "the next"
    writer.cancel()

    assert ledger.dropped_writes == 0


async def test_what_a_full_queue_had_no_room_for_during_an_outage_is_counted(
    clock: FakeClock, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "MAX_PENDING_WRITES", 3)
    ledger = Ledger(clock=clock, sleep=outage.sleep)
    for _ in range(5):
        ledger.post(outage.strike)

    assert (ledger.dropped_writes, ledger.waiting_writes) == (2, 3)


async def test_what_was_lost_is_written_down_once_the_database_is_back(
    ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[float, int]] = []
    monkeypatch.setattr(rows, "add_lost_writes", lambda minute, count: told.append((minute, count)))
    for _ in range(2):
        ledger.post(lambda: 1 // 0)
    await ledger.perform(lambda: None)

    await ledger.flush()
    await ledger.flush()

    assert told == [(clock.now() // 60 * 60, 2)]
