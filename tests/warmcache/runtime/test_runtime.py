import asyncio
import threading

import pytest

from tests.servers import PATIENCE_SECONDS
from warmcache import services
from warmcache.background.tasks import TaskOwner
from warmcache.conf import Config
from warmcache.runtime import state
from warmcache.runtime.wiring import build_runtime, close_runtime, get_runtime, install_runtime
from warmcache.stores.memory import MemoryWarmthStore
from warmcache.testing import FakeClock, FakeProvider, FakeRuntime, fake_runtime, make_prefix, make_prompt

CONFIG = Config(upstream="simulator", secret="test")


async def test_a_loop_has_one_runtime(fake: FakeRuntime) -> None:
    assert get_runtime() is get_runtime() is fake.runtime


def test_each_loop_has_its_own(clock: FakeClock) -> None:
    async def runtime_of_this_loop() -> int:
        async with fake_runtime(clock=clock, has_database=False) as fake:
            return id(fake.runtime)

    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(asyncio.run(runtime_of_this_loop()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 2


async def test_a_second_one_is_refused_as_the_first_would_be_left_open(fake: FakeRuntime) -> None:
    other = build_runtime(CONFIG, provider=fake.provider, clock=fake.clock)

    with pytest.raises(RuntimeError, match="close_runtime"):
        install_runtime(other)


async def test_the_parts_that_are_not_given_come_from_the_configuration(clock: FakeClock) -> None:
    runtime = build_runtime(CONFIG, provider=FakeProvider(clock=clock))

    assert isinstance(runtime.store, MemoryWarmthStore)
    assert runtime.clock.now() > 1_600_000_000
    assert runtime.rates("claude-opus-5-5", 1000) is not None


async def test_closing_ends_every_task_and_the_provider(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock, has_database=False) as fake:
        fake.provider.hold_warm_ups()
        await services.prewarm_prefix(make_prompt(), intent="typing")
        await fake.provider.warm_ups_in_flight()

    assert fake.provider.is_closed
    assert fake.provider.open_calls == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert await fake.runtime.store.look_up(make_prefix().hashes) == {}


async def test_closing_twice_or_without_a_runtime_is_harmless() -> None:
    await close_runtime()
    await services.close()


async def test_a_ledger_that_hangs_does_not_keep_the_process_from_ending(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def hang(self: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(state, "CLOSE_PATIENCE_SECONDS", 0.01)
    monkeypatch.setattr("warmcache.ledger.writer.Ledger.flush", hang)

    async with asyncio.timeout(PATIENCE_SECONDS), fake_runtime(clock=clock, has_database=False) as fake:
        pass

    assert fake.provider.is_closed
    assert "could not be flushed" in caplog.text


async def test_housekeeping_flushes_by_itself(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = asyncio.Event()

    async def flush(self: object) -> bool:
        flushed.set()
        return True

    monkeypatch.setattr(state, "HOUSEKEEPING_SECONDS", 0.001)
    monkeypatch.setattr("warmcache.ledger.writer.Ledger.flush", flush)

    async with fake_runtime(clock=clock, has_database=False), asyncio.timeout(PATIENCE_SECONDS):
        await flushed.wait()


async def test_a_chore_that_fails_does_not_keep_rows_from_being_written(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    flushes, is_flushed = [], asyncio.Event()

    async def fail(self: object, *_: object) -> None:
        raise ValueError("not what an older process has written")

    async def flush(self: object) -> None:
        flushes.append(1)
        if len(flushes) > 2:
            is_flushed.set()

    monkeypatch.setattr(state, "HOUSEKEEPING_SECONDS", 0.001)
    monkeypatch.setattr("warmcache.ledger.writer.Ledger.flush", flush)
    monkeypatch.setattr("warmcache.learned.forecasts.Learning.exchange", fail)
    monkeypatch.setattr("warmcache.cache.guards.Guards.note_missed", fail)

    async with asyncio.timeout(PATIENCE_SECONDS):
        runtime = build_runtime(Config(secret="test"), provider=FakeProvider(clock=clock), clock=clock)
        runtime.start()
        await is_flushed.wait()
        monkeypatch.undo()
        runtime.ledger.close()
        await runtime._housekeepers.close()
        await runtime._starters.close()

    assert "Housekeeping goes on without" in caplog.text


async def test_nothing_begins_by_itself_while_the_end_is_written_down(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[int] = []

    async def drain(self: object) -> None:
        running.append(len(fake.runtime._starters))

    monkeypatch.setattr("warmcache.ledger.writer.Ledger.drain", drain)

    async with fake_runtime(clock=clock, has_database=False) as fake:
        before = len(fake.runtime._starters)

    assert before > 0
    assert running == [0]


async def test_an_owner_keeps_its_tasks_and_reports_their_errors(caplog: pytest.LogCaptureFixture) -> None:
    owner = TaskOwner("owner")

    async def fail() -> None:
        raise ZeroDivisionError("by zero")

    owner.spawn(fail(), name="divide")
    owner.spawn(asyncio.sleep(60), name="sleep")
    await owner.join(timeout_seconds=0.01)
    assert len(owner) == 1

    await owner.close()

    assert len(owner) == 0
    assert "owner: divide failed" in caplog.text
    assert "by zero" in caplog.text
