import contextlib
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[3]
FLAGS = ("--profile", "instant", "--noise", "0")


@contextlib.contextmanager
def started(*flags: str, ready: bool = True) -> Iterator[tuple[subprocess.Popen[str], str]]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-m", "warmcache.simulator", *FLAGS, *flags]
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:
        try:
            yield process, process.stdout.readline() if ready else ""
        finally:
            process.kill()


def test_it_says_ready_serves_and_ends_with_its_standard_input():
    with started("--exit-with-stdin") as (process, line):
        word, url = line.split()
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{url}/v1/models", timeout=PATIENCE_SECONDS)  # noqa: S310 - our own child
        caught.value.close()
        process.stdin.close()

        assert word == "READY"
        assert caught.value.code == 401
        assert process.wait(PATIENCE_SECONDS) == 0
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_without_a_word(number: signal.Signals):
    with started() as (process, _):
        process.send_signal(number)

        assert process.wait(PATIENCE_SECONDS) == 0
        assert process.stderr.read() == ""


def test_a_child_outlives_ctrl_c_until_its_parent_lets_go():
    with started("--exit-with-stdin") as (process, _):
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        process.stdin.close()

        assert process.wait(PATIENCE_SECONDS) == 0
        assert process.stderr.read() == ""


def test_a_taken_port_is_one_clear_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with started("--port", port, ready=False) as (process, _):
            output, errors = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 1
    assert output == ""
    assert errors.count("\n") == 1
    assert port in errors
    assert "--port" in errors


@pytest.mark.parametrize("flags", [("--profile", "warp"), ("--port", "70000"), ("--noise", "loud"), ("--fast",)])
def test_a_bad_flag_is_one_clear_sentence(flags: tuple[str, ...]):
    with started(*flags, ready=False) as (process, _):
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 2
    assert output == ""
    assert errors.count("\n") == 1
    assert flags[-1] in errors


def test_it_starts_without_django():
    script = (
        "import sys, warmcache.simulator.__main__, warmcache.simulator.server, warmcache.simulator.options;"
        "sys.exit('django' in sys.modules or 'anthropic' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0


def test_the_engine_and_its_pure_siblings_need_the_standard_library_only():
    script = (
        "import sys, warmcache.simulator.engine, warmcache.simulator.validation, warmcache.simulator.replies,"
        "warmcache.simulator.sse, warmcache.simulator.faults, warmcache.simulator.scripts,"
        "warmcache.simulator.diagnosis, warmcache.simulator.model_info;"
        "sys.exit(bool({'django', 'aiohttp', 'anthropic', 'redis', 'httpx2', 'msgspec'} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0
