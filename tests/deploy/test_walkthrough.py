"""`docs/deploy.md`, command by command in a clean folder, as an operator would who copies them.

`python -m pytest tests/deploy/test_walkthrough.py -m "soak or not soak" -s` prints which of them cannot run here.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ROOT
from tests.servers.ports import free_port
from tests.servers.postgres_server import PostgresServer
from tests.servers.redis_server import RedisServer

DOCUMENT = (ROOT / "docs" / "deploy.md").read_text()
NOT_HERE = {
    "useradd": "makes a user of the machine",
    "systemctl": "needs a machine that systemd runs; `test_files.py` has systemd verify the units",
    "journalctl": "reads the log of such a machine",
    "make audit": "asks the internet; `test_audit.py` asks registries of its own",
    "RELEASE_BEFORE=": "needs a tag; it is a test by itself, of which everything but the tag runs without one",
}
"""Commands of the page that no test runs, by their beginning, with the reason."""
PROGRAMS = (
    "useradd",
    "git",
    "python",
    "python3",
    "pip",
    "install",
    "make",
    "systemctl",
    "journalctl",
    "cp",
    "pg_dump",
    "pg_restore",
    "RELEASE_BEFORE=",
)
"""What a command in the middle of a sentence begins with."""
SECOND_FACTOR, CLEAR_SESSIONS = "python manage.py shell -c", "python manage.py clearsessions"
NEW_KEY, TRACES = "python3 -c 'import secrets", "pip install -r deploy/requirements-traces.txt"
INSTALL_SECONDS = 1800


def section(title: str) -> list[str]:
    """The lines of its commands."""
    text = DOCUMENT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()


def commands() -> list[str]:
    """Every command of the page: its blocks', those in sentences, and the one in the settings."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)).splitlines()
    in_sentences = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", DOCUMENT, flags=re.DOTALL))
    begun = [code for code in in_sentences if " " in code and code.startswith(tuple(PROGRAMS))]
    in_settings = re.findall(r"^# The output of: (.*)$", settings_block(), re.MULTILINE)
    return [line for line in (*blocks, *begun, *in_settings) if line]


def command(beginning: str) -> str:
    """The one that begins so."""
    found = {each for each in commands() if each.startswith(beginning)}
    assert len(found) == 1, (beginning, found)
    return found.pop()


def settings_block() -> str:
    (block,) = re.findall(r"```ini\n(.*?)```", DOCUMENT, re.DOTALL)
    return str(block)


def walk() -> list[str]:
    """All that is run, in the order in which an operator would."""
    back_up = section("Back up and restore")
    return [
        line
        for line in (
            *section("Install"),
            *section("Configure"),
            *section("Start"),
            command(SECOND_FACTOR),
            command(TRACES),
            command(CLEAR_SESSIONS),
            *back_up,
            *section("Upgrade"),
        )
        if line and not line.startswith(tuple(NOT_HERE))
    ]


def test_every_command_of_the_page_is_walked_or_named_with_what_keeps_it_from_that() -> None:
    left = [each for each in commands() if each not in walk() and not each.startswith(NEW_KEY)]

    for line in left:
        why = [reason for start, reason in NOT_HERE.items() if line.startswith(start)]
        sys.stdout.write(f"not run here: {line}\n    {'; '.join(why)}\n")
    assert [line for line in left if not line.startswith(tuple(NOT_HERE))] == []
    assert [start for start in NOT_HERE if not any(line.startswith(start) for line in left)] == []


def test_systemd_reads_the_settings_as_a_shell_does() -> None:
    lines = [line for line in settings_block().splitlines() if not line.startswith("#")]

    assert lines
    # It takes what follows a value for part of it.
    assert [line for line in lines if not re.fullmatch(r"[A-Z_]+=[^\s#]+", line)] == []


@pytest.mark.soak
@pytest.mark.timeout(2 * INSTALL_SECONDS)
def test_every_command_works_as_it_is_written(
    tmp_path: Path, postgres_server: PostgresServer, redis_server: RedisServer
) -> None:
    folder, remote, units, port = tmp_path / "warmcache", tmp_path / "remote", tmp_path / "units", free_port()
    units.mkdir()
    _publish(remote)
    secret_key = subprocess.check_output(["bash", "-euc", command(NEW_KEY)], text=True).strip()
    values = {
        "SECRET_KEY": secret_key,
        "ANTHROPIC_API_KEY": "sk-ant-test",
        "DATABASE_URL": f"'{postgres_server.create_database()}'",
        "REDIS_URL": redis_server.url,
        "METRICS_TOKEN": "for-prometheus",
    }
    settings = tmp_path / "warmcache.env"
    of_the_page = re.sub(
        r"^([A-Z_]+)=(.*)$", lambda found: f"{found[1]}={values.get(found[1], found[2])}", settings_block(), flags=re.M
    )
    settings.write_text(f"{of_the_page}\nANTHROPIC_BASE_URL=http://127.0.0.1:9\nPORT={port}\n")
    unit = (ROOT / "deploy" / "warmcache.service").read_text()
    (start,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    environment = {
        **{name: os.environ[name] for name in os.environ if not name.startswith(("DJANGO", "DATABASE", "PYTEST"))},
        "PATH": f"{postgres_server.programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "DJANGO_SUPERUSER_USERNAME": "root",
        "DJANGO_SUPERUSER_EMAIL": "root@example.org",
        "DJANGO_SUPERUSER_PASSWORD": "a word that nobody knows",
    }

    def shell(lines: list[str]) -> subprocess.Popen[str]:
        placed = "\n".join(lines)
        for written, here in (
            ("https://github.com/your-name/warmcache.git", str(remote)),
            ("/srv/warmcache", str(folder)),
            ("/etc/warmcache.env", str(settings)),
            ("/etc/systemd/system", str(units)),
            ("--owner warmcache --group warmcache", f"--owner {os.getuid()} --group {os.getgid()}"),
            ("python3 ", f"{sys.executable} "),
            ("createsuperuser", "createsuperuser --no-input"),
            ("username='...'", "username='root'"),
        ):
            placed = placed.replace(written, here)
        return subprocess.Popen(
            ["bash", "-euxc", placed],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    walker = shell(walk())
    told = walker.communicate(timeout=INSTALL_SECONDS)[0]
    assert walker.returncode == 0, told
    assert "WARNINGS" not in told or "security.W008" in told, told
    assert sorted(path.name for path in units.iterdir()) == sorted(
        path.name for path in (ROOT / "deploy").glob("warmcache*.*")
    )
    assert oct((folder / "var").stat().st_mode)[-3:] == "700"
    assert (folder / "warmcache.dump").stat().st_size > 0

    server = shell([f"cd {folder}", ". .venv/bin/activate", section("Configure")[0], f"exec {start}"])
    by_name = {"Host": "chat.example.org"}

    def fetch(path: str, headers: dict[str, str]) -> bytes:
        asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
        with urllib.request.urlopen(asked, timeout=PATIENCE_SECONDS) as answer:
            return bytes(answer.read())

    try:
        assert server.stdout is not None
        next(line for line in server.stdout if line.startswith("Serving "))
        # As a health check does: by address, though only the site's name is allowed.
        probes = [fetch(path, {}) for path in ("/healthz", "/readyz")]
        figures = fetch("/metrics", {**by_name, "Authorization": "Bearer for-prometheus"})
        assets = re.findall(r'(?:href|src)="(/static/[^"]+)"', fetch("/accounts/login/", by_name).decode())
        for asset in assets:
            fetch(asset, by_name)
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=PATIENCE_SECONDS)
    finally:
        if server.poll() is None:
            server.kill()

    assert probes == [b"ok\n", b"ok\n"]
    assert b"_total" in figures
    assert assets
    assert server.returncode == 0


def _publish(remote: Path) -> None:
    """What is tracked here, as it is now, in a repository that can be cloned and pulled."""
    for name in subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines():
        (remote / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, remote / name)
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    for words in (("init", "--quiet"), ("add", "--all"), (*who, "commit", "--quiet", "--message", "Begin")):
        subprocess.run(["git", *words], cwd=remote, check=True)
