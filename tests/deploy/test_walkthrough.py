"""`docs/deploy.md`, command by command in a clean folder, as an operator would who copies them."""

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
# These need root, systemd or the internet, and are checked elsewhere: the units by systemd itself, in `test_files.py`.
NOT_HERE = ("useradd", "git clone", "git pull", "install --directory", "systemctl", "cp deploy/")
INSTALL_SECONDS = 900


def section(title: str) -> str:
    """Its commands, without those that need another machine."""
    text = DOCUMENT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    return "\n".join(line for line in lines if not line.startswith(NOT_HERE))


@pytest.mark.soak
def test_every_command_works_as_it_is_written(
    tmp_path: Path, postgres_server: PostgresServer, redis_server: RedisServer
) -> None:
    folder, port = tmp_path / "warmcache", free_port()
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    for name in tracked:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    settings = tmp_path / "warmcache.env"
    settings.write_text(
        f"SECRET_KEY={'k' * 50}\nANTHROPIC_API_KEY=sk-ant-test\nANTHROPIC_BASE_URL=http://127.0.0.1:9\n"
        "ALLOWED_HOSTS=chat.example.org\nCSRF_TRUSTED_ORIGINS=https://chat.example.org\n"
        f"DATABASE_URL='{postgres_server.create_database()}'\nREDIS_URL={redis_server.url}\nPORT={port}\n"
    )
    unit = (ROOT / "deploy" / "warmcache.service").read_text()
    (start,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    environment = {
        **{name: os.environ[name] for name in os.environ if not name.startswith(("DJANGO", "DATABASE", "PYTEST"))},
        "HOME": str(tmp_path),
        "DJANGO_SUPERUSER_USERNAME": "root",
        "DJANGO_SUPERUSER_EMAIL": "root@example.org",
        "DJANGO_SUPERUSER_PASSWORD": "a word that nobody knows",
    }

    def shell(commands: str) -> subprocess.Popen[str]:
        placed = commands.replace("/srv/warmcache", str(folder)).replace("/etc/warmcache.env", str(settings))
        placed = placed.replace("python3 ", f"{sys.executable} ").replace(
            "createsuperuser", "createsuperuser --no-input"
        )
        return subprocess.Popen(
            ["bash", "-euc", placed],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    install, configure, upgrade = section("Install"), section("Configure"), section("Upgrade")
    for commands in (install, f"{install}\n{configure}", f"{install}\n{configure}\n{upgrade}"):
        walker = shell(commands)
        told = walker.communicate(timeout=INSTALL_SECONDS)[0]
        assert walker.returncode == 0 or "already taken" in told, told
        assert "WARNINGS" not in told or "security.W008" in told, told

    server = shell(f"{install}\n{section('Configure').splitlines()[0]}\nexec {start}")
    try:
        assert server.stdout is not None
        next(line for line in server.stdout if line.startswith("Serving "))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE_SECONDS) as answer:
            ready = answer.read()
        page = urllib.request.Request(f"http://127.0.0.1:{port}/accounts/login/", headers={"Host": "chat.example.org"})
        with urllib.request.urlopen(page, timeout=PATIENCE_SECONDS) as answer:
            sign_in = answer.read().decode()
        assets = re.findall(r'(?:href|src)="(/static/[^"]+)"', sign_in)
        for asset in assets:
            found = urllib.request.Request(f"http://127.0.0.1:{port}{asset}", headers={"Host": "chat.example.org"})
            urllib.request.urlopen(found, timeout=PATIENCE_SECONDS).close()
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=PATIENCE_SECONDS)
    finally:
        if server.poll() is None:
            server.kill()

    assert ready == b"ok\n"
    assert assets
    assert server.returncode == 0
