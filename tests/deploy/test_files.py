"""What `deploy/` holds for others' programs: checked by those programs where they are installed, else by reading."""

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ROOT, clean_environment
from tests.servers.ports import free_port
from tests.servers.postgres_server import PostgresServer
from tests.servers.redis_server import RedisServer

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
KUBERNETES = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
FOR_OTHERS = {"DOMAIN", "POSTGRES_PASSWORD", "WEB_PROCESSES"}
"""Variables of `example.env` that the compose file reads and the chat does not."""


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )


def settings_in_the_readme() -> set[str]:
    table = (ROOT / "README.md").read_text().partition("## Configure")[2].partition("\n## ")[0]
    return set(re.findall(r"`([A-Z_]+)`", table))


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def kubernetes(kind: str) -> dict[str, Any]:
    (found,) = [each for each in KUBERNETES if each["kind"] == kind]
    return dict(found)


def test_nginx_accepts_its_site(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    text = (DEPLOY / "nginx.conf").read_text()
    text = re.sub(r"(ssl_certificate +)\S+;", rf"\1{certificate};", text)
    text = re.sub(r"(ssl_certificate_key +)\S+;", rf"\1{key};", text)
    (tmp_path / "site.conf").write_text(text)
    log = f"pid {tmp_path}/pid; error_log {tmp_path}/log;"
    (tmp_path / "nginx.conf").write_text(f"{log} events {{}} http {{ access_log off; include {tmp_path}/site.conf; }}")
    subject = ("-subj", "/CN=chat.example.org", "-days", "2", "-keyout", str(key), "-out", str(certificate))
    made = run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject)

    done = run("nginx", "-t", "-c", str(tmp_path / "nginx.conf"))

    assert made.returncode == 0, made.stderr
    assert done.returncode == 0, done.stderr


def test_caddy_accepts_its_site() -> None:
    done = run("caddy", "validate", "--config", str(DEPLOY / "Caddyfile"), "--adapter", "caddyfile")

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "unit", sorted(path.name for path in DEPLOY.glob("*.service")) + ["warmcache-housekeeping.timer"]
)
def test_systemd_accepts_its_units(unit: str, tmp_path: Path) -> None:
    for path in DEPLOY.glob("warmcache*"):
        # It asks whether the program is there, which it is on an operator's machine.
        text = path.read_text().replace("/srv/warmcache/.venv/bin/python", sys.executable)
        (tmp_path / path.name).write_text(text)

    done = run("systemd-analyze", "verify", "--man=no", str(tmp_path / unit))

    assert [line for line in done.stderr.splitlines() if "warmcache" in line] == []


def test_a_linter_finds_nothing_in_the_dockerfile() -> None:
    done = run("hadolint", str(DEPLOY / "Dockerfile"))

    assert done.returncode == 0, done.stdout


def test_the_image_serves_without_rights_and_is_asked_whether_it_can() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    instructions = re.findall(r"^([A-Z]+) ", text, re.MULTILINE)

    assert re.search(r"^USER \d+$", text, re.MULTILINE)
    assert "HEALTHCHECK" in instructions and "/readyz" in text
    assert "latest" not in text


def test_every_variable_is_one_that_the_readme_describes() -> None:
    example = set(re.findall(r"^([A-Z_]+)=", (DEPLOY / "example.env").read_text(), re.MULTILINE))
    interpolated = set(re.findall(r"\$\{([A-Z_]+)", (DEPLOY / "compose.yaml").read_text()))

    assert interpolated == example
    assert example - FOR_OTHERS <= settings_in_the_readme()
    assert set(COMPOSE["x-chat"]["environment"]) <= settings_in_the_readme()


def test_everybody_logs_for_machines_with_a_line_for_each_request() -> None:
    unit = (DEPLOY / "warmcache.service").read_text()
    (container,) = kubernetes("Deployment")["spec"]["template"]["spec"]["containers"]
    wanted = {"LOG_FORMAT": "json", "ACCESS_LOG": "1"}

    # What the operator's own file says comes after it and counts.
    assert re.search(r"^Environment=LOG_FORMAT=json ACCESS_LOG=1\nEnvironmentFile=", unit, re.MULTILINE)
    assert wanted.items() <= {each["name"]: each["value"] for each in container["env"]}.items()
    assert wanted.items() <= COMPOSE["x-chat"]["environment"].items()


def test_everybody_gives_the_drain_its_time() -> None:
    promised = 30
    unit = (DEPLOY / "warmcache.service").read_text()
    pod = kubernetes("Deployment")["spec"]["template"]["spec"]
    before = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])

    assert seconds(COMPOSE["services"]["web"]["stop_grace_period"]) > promised
    assert int(re.findall(r"TimeoutStopSec=(\d+)", unit)[0]) > promised
    assert pod["terminationGracePeriodSeconds"] > promised + before


def test_nothing_is_served_as_root_or_from_a_writable_root() -> None:
    pod = kubernetes("Deployment")["spec"]["template"]["spec"]
    context = pod["containers"][0]["securityContext"]

    assert COMPOSE["x-chat"]["read_only"] is True
    assert COMPOSE["x-chat"]["cap_drop"] == ["ALL"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False)


def test_the_processes_of_the_compose_file_migrate_and_serve(
    postgres_server: PostgresServer, redis_server: RedisServer
) -> None:
    port = free_port()
    environment = clean_environment(
        DATABASE_URL=postgres_server.create_database(),
        REDIS_URL=redis_server.url,
        ALLOWED_HOSTS="chat.example.org",
        CSRF_TRUSTED_ORIGINS="https://chat.example.org",
        ALLOW_SIMULATOR="1",
    )
    migrate, serve = ([sys.executable, *COMPOSE["services"][name]["command"][1:]] for name in ("migrate", "web"))
    serve = ["2" if "WEB_PROCESSES" in word else word for word in serve]
    subprocess.run(migrate, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)

    server = subprocess.Popen(
        [*serve, "--port", str(port)], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        line = next(line for line in server.stderr if line.startswith("Serving "))
        # As a health check does: by address, though only the site's name is allowed.
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE_SECONDS) as answer:
            ready = answer.status, answer.read()
        server.send_signal(signal.SIGTERM)
        rest = server.communicate(timeout=PATIENCE_SECONDS)[1]
    finally:
        if server.poll() is None:
            server.kill()

    assert "(2 processes)" in line
    assert ready == (200, b"ok\n")
    assert (server.returncode, rest) == (0, "")
