"""`manage.py serve`, as a process."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chatapp.server import startup
from chatapp.server.listening import listen
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import clean_environment
from tests.servers.processes import children_of, wait_until_gone

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    return clean_environment(DATABASE_URL=f"sqlite:///{tmp_path / 'db.sqlite3'}", SIMULATOR_PROFILE="instant")


def serve(environment: dict[str, str], *flags: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "serve", *flags],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def migrated(environment) -> dict[str, str]:
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
    return environment


def test_without_a_key_the_simulator_answers_and_that_is_said(migrated):
    process = serve(migrated, "--port", "0")
    lines = [process.stderr.readline() for _ in range(2)]
    children = children_of(process.pid)
    process.send_signal(signal.SIGTERM)
    stdout, rest = process.communicate(timeout=PATIENCE_SECONDS)

    assert lines[0] == "Simulated replies: no API key is set, so a simulator answers.\n"
    assert re.fullmatch(r"Serving http://127\.0\.0\.1:\d+\n", lines[1])
    assert (stdout, rest, process.returncode) == ("", "", 0)
    assert len(children) == 1
    assert all(wait_until_gone(child) for child in children)


def test_a_command_that_finds_no_tables_says_what_to_run(environment):
    told = subprocess.run(
        [sys.executable, "manage.py", "warmcache_report"], cwd=ROOT, env=environment, capture_output=True, text=True
    )

    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == "The database lacks tables that this version needs: run `python manage.py migrate` first.\n"


def test_a_database_without_its_tables_is_told(environment):
    process = serve(environment, "--port", "0")
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)

    assert (process.returncode, stdout) == (1, "")
    assert re.fullmatch(r"The database lacks \d+ migrations: run `python manage.py migrate` first\.\n", stderr)


def test_others_may_reach_it_only_with_a_key_of_its_own(environment):
    del environment["SECRET_KEY"]
    process = serve(environment, "--host", "0.0.0.0", "--port", "0")  # noqa: S104
    stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 1
    assert stderr.startswith("Serving 0.0.0.0 needs a SECRET_KEY of your own in the environment")
    assert stderr.count("\n") == 1


def test_a_public_site_is_not_answered_by_the_simulator_unless_that_is_wanted(settings):
    settings.ALLOWED_HOSTS = ["127.0.0.1", "chat.example"]
    settings.SECRET_KEY_FROM_ENV, settings.ALLOW_SIMULATOR = True, False
    with pytest.raises(
        startup.StartError, match=r"Serving chat\.example needs an ANTHROPIC_API_KEY.*ALLOW_SIMULATOR=1"
    ):
        startup.require_own_keys("127.0.0.1")

    settings.ALLOW_SIMULATOR = True
    startup.require_own_keys("127.0.0.1")
    settings.ALLOW_SIMULATOR, settings.ANTHROPIC_API_KEY = False, "sk-ant-x"
    startup.require_own_keys("127.0.0.1")


def test_behind_a_proxy_too_others_reach_it_only_with_a_key_of_its_own(settings):
    settings.ALLOWED_HOSTS = ["chat.example"]
    settings.SECRET_KEY_FROM_ENV, settings.ALLOW_SIMULATOR = False, True

    with pytest.raises(startup.StartError, match="SECRET_KEY"):
        startup.require_own_keys("127.0.0.1")


def test_a_taken_port_ends_it_with_one_sentence(environment):
    with listen("127.0.0.1", 0) as taken:
        process = serve(environment, "--port", str(taken.getsockname()[1]))
        _, stderr = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 1
    assert re.fullmatch(r"Port \d+ is taken by another program: .*\n", stderr)


def test_a_database_that_cannot_be_reached_ends_it_with_one_sentence(environment):
    environment["DATABASE_URL"] = "postgres://nobody:secret@127.0.0.1:9/nothing"
    process = serve(environment, "--port", "0")
    _, stderr = process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == 1
    assert stderr.startswith("The database nothing at 127.0.0.1 cannot be used")
    assert stderr.count("\n") == 1
    assert "secret" not in stderr
