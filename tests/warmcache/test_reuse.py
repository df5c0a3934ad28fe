"""Each in a process of its own: what the core needs, and what a host without the chat gets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import PATIENCE_SECONDS
from tests.servers.postgres_server import PostgresServer

ROOT = Path(__file__).parents[2]


def run(module: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", module],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_core_needs_no_framework() -> None:
    modules = list((ROOT / "warmcache" / "core").rglob("*.py"))

    assert run("tests.host.import_core").strip() == f"imported {len(modules) - 1}"


def test_a_host_without_chat_channels_and_redis_warms_and_streams(tmp_path: Path) -> None:
    said = run(
        "tests.host.warm_and_stream",
        DJANGO_SETTINGS_MODULE="tests.host.settings",
        HOST_DATABASE=str(tmp_path / "host.sqlite3"),
    )

    assert said.splitlines()[-1] == "Hello there. hit 2"


def test_a_host_without_time_zones_keeps_every_moment(tmp_path: Path) -> None:
    said = run(
        "tests.host.warm_and_stream",
        DJANGO_SETTINGS_MODULE="tests.host.local_time",
        HOST_DATABASE=str(tmp_path / "host.sqlite3"),
    )

    assert said.splitlines()[-1] == "Hello there. hit 2"


def test_a_hosts_own_tests_need_no_provider(tmp_path: Path) -> None:
    said = run(
        "tests.host.dummy",
        DJANGO_SETTINGS_MODULE="tests.host.dummy_settings",
        HOST_DATABASE=str(tmp_path / "host.sqlite3"),
    )

    assert said.splitlines()[-1] == "As you wish. hit; As you wish."


@pytest.mark.parametrize("settings", ["two_databases", "two_databases_in_local_time"])
def test_a_hosts_router_gives_the_ledger_its_own_database(postgres_server: PostgresServer, settings: str) -> None:
    said = run(
        "tests.host.warm_and_stream",
        DJANGO_SETTINGS_MODULE=f"tests.host.{settings}",
        HOST_DEFAULT=postgres_server.create_database(),
        HOST_LEDGER=postgres_server.create_database(),
        HOST_MIGRATES="ledger",
    )

    assert said.splitlines()[-1] == "Hello there. hit 2"
