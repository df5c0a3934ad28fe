import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from warmcache import ledger as ledgers
from warmcache import records
from warmcache.core.errors import LedgerClosed
from warmcache.ledger import Ledger
from warmcache.testing import FakeClock


@pytest.fixture
async def ledger(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ledger]:
    """A ledger that writes into lists instead of a database."""
    monkeypatch.setattr(records, "sweep", lambda now: 0)
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
        assert self._open.wait(5)
        return "through"

    def open(self) -> None:
        self._open.set()


async def entered(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.is_entered.wait, 5)


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
    async with asyncio.timeout(5):
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
    monkeypatch.setattr(records, "add_skip_counts", flushed.append)
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

    async with asyncio.timeout(5):
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
