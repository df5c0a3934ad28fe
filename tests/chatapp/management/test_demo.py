"""`manage.py demo`: what `make run` comes to, as a process."""

import http.cookiejar
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chatapp.server.listening import listen
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import clean_environment
from tests.servers.processes import children_of, is_running, wait_until_gone

ROOT = Path(__file__).resolve().parents[3]
LINE = re.compile(r"Open (http://127\.0\.0\.1:\d+)/sign-in/([\w-]{20,})/ \(simulated replies: no API key is set\)\n")
Demo = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def database(tmp_path) -> Path:
    return tmp_path / "db.sqlite3"


def start_demo(database: Path, **changes: str) -> subprocess.Popen[str]:
    """`manage.py demo`, in a process group of its own as a terminal would."""
    facts = {"DATABASE_URL": f"sqlite:///{database}", "PORT": "0", "SIMULATOR_PROFILE": "instant"}
    return subprocess.Popen(
        [sys.executable, "manage.py", "demo"],
        cwd=ROOT,
        env=clean_environment(**{**facts, **changes}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


@pytest.fixture
def demo(database) -> Iterator[Demo]:
    """Starts it, as often as one likes; each ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(**changes: str) -> subprocess.Popen[str]:
        started.append(start_demo(database, **changes))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def left_by_a_demo(tmp_path_factory) -> Path:
    """The database of one that printed its link and ended."""
    database = tmp_path_factory.mktemp("demo") / "db.sqlite3"
    with start_demo(database) as process:
        assert LINE.fullmatch(process.stdout.readline())
        process.terminate()
        process.communicate(timeout=PATIENCE_SECONDS)
    # One that ended during its slow imports may leave rows in the journal beside the file.
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return database


@pytest.fixture
def known_database(database, left_by_a_demo) -> Path:
    """Not the first start on it, which takes a while."""
    return Path(shutil.copy(left_by_a_demo, database))


def sentence_of(process: subprocess.Popen[str]) -> str:
    """What a failed start says: one line on stderr, nothing on stdout, exit code 1."""
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, stdout, stderr.count("\n")) == (1, "", 1), stderr
    return stderr


def test_the_printed_link_works_at_once_and_leads_into_the_chat(demo):
    process = demo()
    found = LINE.fullmatch(process.stdout.readline())
    url = found[0].split()[1]
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    with browser.open(url, timeout=PATIENCE_SECONDS) as answer:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', answer.read().decode())[1]
    form = urllib.parse.urlencode({"csrfmiddlewaretoken": token}).encode()
    with browser.open(url, form, timeout=PATIENCE_SECONDS) as answer:
        page = answer.read().decode()

    assert answer.url == f"{found[1]}/"
    assert "Python reference" in page
    assert "Small talk" in page


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_quiet_and_leaves_nothing_running(demo, known_database, signal_number):
    process = demo()
    line = process.stdout.readline()
    children = children_of(process.pid)

    os.killpg(process.pid, signal_number)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)

    assert LINE.fullmatch(line)
    assert (process.returncode, stdout, stderr) == (0, "", "")
    assert len(children) == 1
    assert all(wait_until_gone(child) for child in children)


def test_ctrl_c_before_the_link_is_quiet_too(demo):
    process = demo()
    while not children_of(process.pid) and process.poll() is None:
        time.sleep(0.01)
    children = children_of(process.pid)

    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)

    assert stderr == ""
    # The one without the link, the other where it came just before.
    assert (process.returncode, bool(stdout)) in {(130, False), (0, True)}
    assert all(wait_until_gone(child) for child in children)


def test_a_killed_demo_takes_the_simulator_along(demo, known_database):
    process = demo()
    process.stdout.readline()
    (simulator,) = children_of(process.pid)
    assert is_running(simulator)

    process.kill()
    process.communicate()

    assert wait_until_gone(simulator)


def test_a_second_start_adds_a_link_and_nothing_else(demo, known_database):
    process = demo()
    assert LINE.fullmatch(process.stdout.readline())
    process.terminate()
    process.communicate(timeout=PATIENCE_SECONDS)

    with sqlite3.connect(known_database) as connection:
        (counts,) = connection.execute(
            "SELECT (SELECT count(*) FROM chatapp_signinlink), (SELECT count(*) FROM chatapp_user),"
            " (SELECT count(*) FROM chatapp_assistant)"
        ).fetchall()

    assert counts == (2, 1, 4)


def test_a_taken_port_is_told(demo):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]

        assert f"Port {port} is taken by another program" in sentence_of(demo(PORT=str(port)))


def test_an_address_without_a_key_is_told(demo):
    assert "ANTHROPIC_API_KEY is not" in sentence_of(demo(ANTHROPIC_BASE_URL="http://127.0.0.1:9"))


def test_a_damaged_database_is_told(demo, database):
    database.write_bytes(b"this is no database" * 100)

    assert f"The database {database} is damaged" in sentence_of(demo())


def test_a_locked_database_is_told(demo, known_database):
    holder = sqlite3.connect(known_database)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        assert f"The database {known_database} is locked by another program" in sentence_of(demo())
    finally:
        holder.close()


def test_a_database_in_a_folder_that_is_not_there_is_told(demo, tmp_path):
    assert "cannot be used" in sentence_of(demo(DATABASE_URL=f"sqlite:///{tmp_path}/missing/db.sqlite3"))


def test_a_nonsense_setting_of_warmcache_is_told(demo):
    assert "MAX_COST_PER_WARM_UP_USD" in sentence_of(demo(WARMCACHE_MAX_COST_PER_WARM_UP_USD="a lot"))


def test_a_simulator_that_does_not_start_is_told(demo):
    process = demo(SIMULATOR_PROFILE="no-such-profile")
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)

    assert (process.returncode, stdout) == (1, "")
    assert "The simulator ended at once" in stderr.splitlines()[-1]
    assert "Traceback" not in stderr


def test_a_simulator_that_runs_already_is_told_from_the_real_api(demo, known_database):
    from warmcache.upstream.simulator_process import SimulatorProcess

    with SimulatorProcess(profile="instant") as simulator:
        process = demo(ANTHROPIC_BASE_URL=simulator.wait_ready(PATIENCE_SECONDS), ANTHROPIC_API_KEY="sk-invalid")

        assert "simulated replies" in process.stdout.readline()
