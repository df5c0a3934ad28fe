"""The API for code without an event loop: the same as in async code, from any thread and after a fork."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from asgiref.sync import async_to_sync

from tests.servers import PATIENCE_SECONDS
from warmcache import services, sync
from warmcache.conf import Config
from warmcache.core.errors import UpstreamUnavailable
from warmcache.core.ports import BlockDelta
from warmcache.models import SkipCount, UsageRecord
from warmcache.requests.relay import BATCHES_AHEAD
from warmcache.runtime.home import call_soon_at, loop_thread
from warmcache.runtime.wiring import build_runtime, install_runtime
from warmcache.testing import FakeClock, FakeProvider, FakeRuntime, make_prompt, make_turn
from warmcache.upstream.simulator_process import SimulatorProcess

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fake(transactional_db: None) -> Iterator[FakeRuntime]:
    """Fakes in the background loop, which ends with the test."""

    async def install() -> FakeRuntime:
        clock = FakeClock()
        provider = FakeProvider(clock=clock)
        config = Config(upstream="simulator", base_url="http://fake", secret="test", learns=False)
        runtime = build_runtime(config, provider=provider, clock=clock)
        install_runtime(runtime)
        return FakeRuntime(runtime=runtime, provider=provider, clock=clock)

    sync.close()
    yield loop_thread().run(install())
    sync.close()


def read(response: sync.BlockingStream) -> str:
    return "".join(event.text for event in response if isinstance(event, BlockDelta))


def test_a_view_warms_and_streams_without_an_event_loop(fake):
    prompt = make_prompt()

    attempt = sync.prewarm_prefix(prompt, intent="typing", label="view")
    warmth = sync.finished(attempt)
    with sync.stream_response(prompt, make_turn(), max_tokens=100, label="view") as response:
        text = read(response)

    assert warmth.state == "warm"
    assert text == "Hello there."
    assert response.result.settlement.warmth == "hit"
    assert UsageRecord.objects.get().label == "view"


def test_a_hot_path_asks_with_an_outline_and_its_skips_are_flushed(fake):
    prefix = sync.outline(make_prompt())

    assert sync.consider_prefix(prefix, intent="typing", label="view") is None
    sync.finished(sync.prewarm_prefix(make_prompt(), intent="typing", label="view"))
    attempt = sync.consider_prefix(prefix, intent="typing", label="view")
    sync.flush()

    assert attempt.decision.reason == "already_warm"
    assert sync.finished(attempt) == attempt.warmth
    assert sync.warmth_of(prefix).state == "warm"
    assert SkipCount.objects.get().reason == "already_warm"


def test_a_reader_that_leaves_closes_the_upstream_call(fake):
    fake.provider.stall(kind="reply", after_pieces=1)

    with sync.stream_response(make_prompt(), make_turn(), max_tokens=100) as response:
        for event in response:
            if isinstance(event, BlockDelta):
                break

    assert fake.provider.open_calls == 0
    assert response.result.status == "stopped"
    assert UsageRecord.objects.get().status == "stopped"


def test_a_reader_that_fails_closes_the_upstream_call_and_its_own_error_stays(fake):
    with pytest.raises(ZeroDivisionError):
        with sync.stream_response(make_prompt(), make_turn(), max_tokens=100) as response:
            for _ in response:
                raise ZeroDivisionError

    assert fake.provider.open_calls == 0
    assert response.is_over


def test_a_slow_reader_is_waited_for_and_gets_everything(fake):
    fake.provider.pieces = tuple(f"{n} " for n in range(3 * BATCHES_AHEAD))

    with sync.stream_response(make_prompt(), make_turn(), max_tokens=100) as response:
        text = read(response)

    assert text == "".join(fake.provider.pieces)


def test_an_error_of_the_provider_is_raised_where_it_is_read(fake):
    fake.provider.fail(UpstreamUnavailable("overloaded", "broken"), times=9, kind="reply", after_pieces=1)

    with pytest.raises(UpstreamUnavailable, match="broken"):
        with sync.stream_response(make_prompt(), make_turn(), max_tokens=100) as response:
            read(response)

    assert response.result.status == "failed"


def test_a_response_that_nobody_reads_is_not_sent(fake):
    with sync.stream_response(make_prompt(), make_turn(), max_tokens=100) as response:
        pass

    assert (response.is_over, fake.provider.sent) == (False, [])


def test_a_response_is_read_once(fake):
    with sync.stream_response(make_prompt(), make_turn(), max_tokens=100) as response:
        read(response)

        with pytest.raises(RuntimeError, match="iterated once"):
            read(response)


def test_threads_share_one_warm_up(fake):
    fake.provider.hold_warm_ups()
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(sync.prewarm_prefix, make_prompt(), intent="typing") for _ in range(8)]
        attempts = [attempt.result() for attempt in asked]
    call_soon_at(loop_thread().loop, fake.provider.release_warm_ups)

    warmths = [sync.finished(attempt) for attempt in attempts]

    assert {warmth.state for warmth in warmths} == {"warm"}
    assert fake.provider.warm_up_count == 1


def test_closing_ends_a_response_in_another_thread(fake):
    fake.provider.stall(kind="reply", after_pieces=1)
    begun = Event()

    def reader() -> None:
        with sync.stream_response(make_prompt(), make_turn(), max_tokens=100) as response:
            for event in response:
                if isinstance(event, BlockDelta):
                    begun.set()

    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(reader)
        assert begun.wait(PATIENCE_SECONDS)
        sync.close()

        with pytest.raises(RuntimeError, match="closed during this response"):
            reading.result(PATIENCE_SECONDS)
    assert UsageRecord.objects.get().status == "stopped"


async def test_inside_an_event_loop_it_refuses_to_block():
    with pytest.raises(RuntimeError, match="use warmcache.services in async code"):
        sync.prewarm_prefix(make_prompt(), intent="typing")
    with pytest.raises(RuntimeError, match="use warmcache.services in async code"):
        with sync.stream_response(make_prompt(), make_turn(), max_tokens=100):
            pass
    await asyncio.sleep(0)


def test_closing_what_never_began_is_harmless():
    sync.close()
    sync.close()


def test_every_service_has_a_blocking_twin():
    """A new one needs a line at the end of `sync.py`: `name = _blocking(services.name)`."""
    functions = {name for name in services.__all__ if name.islower()}

    assert functions - set(sync.__all__) == set()


def test_parent_and_child_of_a_fork_have_loops_of_their_own_and_the_end_flushes_both(tmp_path):
    database = tmp_path / "host.sqlite3"
    with SimulatorProcess(profile="instant", noise=0) as simulator:
        simulator.wait_ready(PATIENCE_SECONDS)
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "tests.host.settings",
            "HOST_DATABASE": str(database),
            "ANTHROPIC_BASE_URL": simulator.base_url,
            "ANTHROPIC_API_KEY": simulator.api_key,
        }
        subprocess.run(
            [sys.executable, "-m", "tests.host.forked"],
            cwd=ROOT,
            env=environment,
            check=True,
            timeout=4 * PATIENCE_SECONDS,
        )

    with sqlite3.connect(database) as connection:
        skips = connection.execute("SELECT label, reason FROM warmcache_skipcount").fetchall()
        replies = connection.execute("SELECT label, warmth FROM warmcache_usagerecord").fetchall()
    connection.close()
    names = ("before", "parent", "child")
    assert sorted(skips) == sorted((name, "already_warm") for name in names)
    assert sorted(replies) == sorted((name, "hit") for name in names)


def test_a_reader_on_a_loop_that_ends_closes_the_upstream_call_when_it_leaves(fake):
    fake.provider.stall(kind="reply", after_pieces=1)

    @async_to_sync
    async def view() -> services.Result:
        async with services.stream_response(make_prompt(), make_turn(), max_tokens=100) as response:
            async for event in response:
                if isinstance(event, BlockDelta):
                    break
        return response.result

    assert view().status == "stopped"
    assert fake.provider.open_calls == 0
    assert UsageRecord.objects.get().status == "stopped"


def test_a_reader_on_a_loop_that_ends_gets_the_providers_error(fake):
    fake.provider.fail(UpstreamUnavailable("overloaded", "broken"), times=9, kind="reply", after_pieces=1)

    @async_to_sync
    async def view() -> None:
        async with services.stream_response(make_prompt(), make_turn(), max_tokens=100) as response:
            [event async for event in response]

    with pytest.raises(UpstreamUnavailable, match="broken"):
        view()


def test_a_response_that_nobody_reads_on_a_loop_that_ends_is_not_sent(fake):
    @async_to_sync
    async def view() -> bool:
        async with services.stream_response(make_prompt(), make_turn(), max_tokens=100) as response:
            pass
        return response.is_over

    assert view()
    assert fake.provider.sent == []


def run_with_a_simulator(module: str, database: Path) -> str:
    """What a host's script says, in a process of its own."""
    with SimulatorProcess(profile="instant", noise=0) as simulator:
        simulator.wait_ready(PATIENCE_SECONDS)
        said = subprocess.check_output(
            [sys.executable, "-W", "error", "-m", module],
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "DJANGO_SETTINGS_MODULE": "tests.host.settings",
                "HOST_DATABASE": str(database),
                "ANTHROPIC_BASE_URL": simulator.base_url,
                "ANTHROPIC_API_KEY": simulator.api_key,
            },
            text=True,
            timeout=4 * PATIENCE_SECONDS,
        )
    return said.strip()


def test_async_views_under_wsgi_share_the_background_loop_and_pay_once(tmp_path):
    began, again, *others = run_with_a_simulator("tests.host.passing_loops", tmp_path / "host.sqlite3").split("; ")

    assert began == "warming cold"
    assert again in ("warming in_flight", "warm already_warm")
    assert others == ["warm", "hit"]


def test_requests_that_the_sdk_and_a_framework_send_themselves_are_warm_and_settled(tmp_path):
    assert run_with_a_simulator("tests.host.sent_by_others", tmp_path / "host.sqlite3") == "hit hit"
