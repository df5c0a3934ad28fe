"""The simulator as a child process."""

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.servers import PATIENCE_SECONDS
from tests.servers.processes import is_running, wait_until_gone
from warmcache.upstream.child_server import ChildServerError
from warmcache.upstream.simulator_process import SimulatorProcess

ROOT = Path(__file__).resolve().parents[3]


def test_it_answers_with_its_own_key_only():
    with SimulatorProcess(profile="instant", noise=0) as simulator:
        url = f"{simulator.wait_ready(PATIENCE_SECONDS)}/v1/models"
        headers = {"x-api-key": simulator.api_key, "anthropic-version": "2023-06-01"}

        with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
            assert answer.headers["x-simulator"] == "warmcache"
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            urllib.request.urlopen(urllib.request.Request(url, headers={**headers, "x-api-key": "another"}))
        refused.value.close()


def test_it_ends_when_told_to_and_again_is_harmless():
    simulator = SimulatorProcess(profile="instant")
    simulator.wait_ready(PATIENCE_SECONDS)

    simulator.stop()
    simulator.stop()

    assert not simulator.is_alive()


def test_flags_it_does_not_take_are_told_at_once(capfd):
    with pytest.raises(ChildServerError, match="ended at once"):
        SimulatorProcess(profile="no-such-profile").wait_ready(PATIENCE_SECONDS)

    assert "no-such-profile" in capfd.readouterr().err


def test_silence_is_told_after_the_time_given(tmp_path, monkeypatch):
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nread line\n")  # ends with its standard input, as the simulator does
    silent.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(silent))
    simulator = SimulatorProcess(profile="instant")

    try:
        with pytest.raises(ChildServerError, match="not up after 0 s"):
            simulator.wait_ready(timeout_seconds=0.0)
    finally:
        simulator.stop()


def test_it_leaves_with_a_parent_that_is_killed():
    script = (
        "import time\nfrom warmcache.upstream.simulator_process import SimulatorProcess\n"
        f"child = SimulatorProcess(profile='instant')\nchild.wait_ready({PATIENCE_SECONDS})\n"
        f"print(child.pid, flush=True)\ntime.sleep({10 * PATIENCE_SECONDS})"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    assert is_running(child)

    parent.kill()
    parent.communicate()

    assert wait_until_gone(child)
