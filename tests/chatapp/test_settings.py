"""The strict readers of the environment."""

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from chatapp import settings as readers
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import clean_environment


@pytest.mark.parametrize("text", ["localhost:5432", "mysql://u:secret@h/d", "postgres:u:secret@h/d"])
def test_a_url_of_another_kind_is_refused_without_showing_its_password(monkeypatch, text):
    monkeypatch.setenv("DATABASE_URL", text)

    with pytest.raises(ImproperlyConfigured) as caught:
        readers.database_from_env()

    assert "DATABASE_URL" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["postgres://u:secret@h", "sqlite://", "sqlite://:memory:", "postgres://u:p@h:port/d"])
def test_a_url_that_names_no_database_is_refused(monkeypatch, text):
    monkeypatch.setenv("DATABASE_URL", text)

    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL"):
        readers.database_from_env()


def test_a_postgres_url_is_taken_apart(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://ann:p%40ss@db.internal:5433/chat?sslmode=require")

    database = readers.database_from_env()

    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["USER"], database["PASSWORD"], database["NAME"]) == ("ann", "p@ss", "chat")
    assert (database["HOST"], database["PORT"]) == ("db.internal", 5433)
    assert database["OPTIONS"] == {"sslmode": "require"}


def test_the_local_key_is_made_once_and_kept_from_others(monkeypatch, tmp_path):
    monkeypatch.setattr(readers, "VAR_DIR", tmp_path / "var")

    first, second = readers.local_secret_key(), readers.local_secret_key()

    assert first == second
    assert len(first) >= 50
    assert (tmp_path / "var" / "secret_key").stat().st_mode & 0o077 == 0
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["secret_key"]


def test_a_damaged_local_key_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(readers, "VAR_DIR", tmp_path)
    (tmp_path / "secret_key").write_text("")

    with pytest.raises(ImproperlyConfigured, match="delete it"):
        readers.local_secret_key()


def test_a_folder_that_cannot_be_written_is_told_with_what_to_set_instead(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(readers, "VAR_DIR", tmp_path / "file" / "var")

    with pytest.raises(ImproperlyConfigured, match="set both SECRET_KEY and DATABASE_URL"):
        readers.local_secret_key()


def test_processes_that_start_at_once_agree_on_one_key(tmp_path):
    script = (
        "import pathlib, sys\nfrom chatapp import settings\nsettings.VAR_DIR = pathlib.Path(sys.argv[1])\n"
        "print(settings.local_secret_key())"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    root = Path(__file__).resolve().parents[2]
    children = [
        subprocess.Popen(command, cwd=root, env=clean_environment(), stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    keys = {child.communicate(timeout=PATIENCE_SECONDS)[0] for child in children}

    assert len(keys) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("DATABASE_URL", "nonsense"),
        ("DEBUG", "maybe"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("REDIS_URL", "localhost"),
        ("ANTHROPIC_BASE_URL", "ftp://localhost/"),
    ],
)
def test_a_command_with_a_bad_setting_ends_with_one_sentence(name, value):
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "manage.py", "demo"]

    done = subprocess.run(
        command,
        cwd=root,
        env=clean_environment(**{name: value}),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert name in done.stderr
    assert done.stderr.count(os.linesep) == 1


def test_an_https_origin_hardens_the_cookies():
    script = (
        "from chatapp import settings as s\n"
        "print(s.SESSION_COOKIE_NAME, s.SESSION_COOKIE_SECURE, s.SECURE_HSTS_SECONDS > 0, s.WEBSOCKET_ORIGINS)"
    )
    environment = clean_environment(CSRF_TRUSTED_ORIGINS="https://chat.example")

    printed = subprocess.check_output(
        [sys.executable, "-c", script], cwd=Path(__file__).resolve().parents[2], env=environment, text=True
    )

    assert printed.strip() == "__Host-sessionid True True ['wss://chat.example']"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_an_installation_keeps_is_for_nobody_else_to_read(monkeypatch, tmp_path):
    monkeypatch.setattr(readers, "VAR_DIR", tmp_path / "var")
    monkeypatch.setenv("DATABASE_URL", "")
    umask = os.umask(0o022)
    try:
        path = Path(readers.database_from_env()["NAME"])
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("CREATE TABLE secrets (id)")
            modes = {file.name: mode_of(file) for file in path.parent.iterdir()}
    finally:
        os.umask(umask)

    assert mode_of(path.parent) == 0o700
    assert modes == {"db.sqlite3": 0o600, "db.sqlite3-wal": 0o600, "db.sqlite3-shm": 0o600}


def test_what_a_former_release_left_open_is_closed(monkeypatch, tmp_path):
    monkeypatch.setattr(readers, "VAR_DIR", tmp_path / "var")
    monkeypatch.setenv("DATABASE_URL", "")
    (tmp_path / "var").mkdir(mode=0o755)
    for name in ("db.sqlite3", "db.sqlite3-wal"):
        (tmp_path / "var" / name).touch(mode=0o644)

    readers.database_from_env()

    assert [mode_of(path) for path in (tmp_path / "var").iterdir()] == [0o600, 0o600]
    assert mode_of(tmp_path / "var") == 0o700
