"""The app in somebody else's project: the wheel of `warmcache` alone, in a fresh virtual environment, serving the
example of its README under ASGI and under WSGI. Neither the chat nor Channels can be imported there."""

import ast
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.parse
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.ports import free_port, wait_until_listening

ROOT = Path(__file__).parents[2]
README = (ROOT / "warmcache" / "README.md").read_text()
SETUP, ASGI, WSGI = re.findall(r"```sh\n(.*?)```", README.split("## Try it")[1], re.DOTALL)
FOREIGN = ("chatapp", "channels", "daphne", "twisted")
WARM_SECONDS = 60.0
ANSWER = "Hold the button."


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A copy of the example, and the environment that its commands run in."""

    folder: Path
    environment: dict[str, str]
    ports: dict[str, str]

    def words(self, line: str) -> list[str]:
        """A command of the README, on ports that are free here."""
        for told, free in self.ports.items():
            line = line.replace(told, free)
        return shlex.split(line.removesuffix("&"))

    def run(self, line: str) -> str:
        return subprocess.check_output(self.words(line), cwd=self.folder, env=self.environment, text=True, timeout=120)

    @contextmanager
    def serving(self, line: str, port: str, *more: str) -> Iterator[None]:
        """A command of the README that ends with `&`; stopped as an operator would, it ends well."""
        process = subprocess.Popen([*self.words(line), *more], cwd=self.folder, env=self.environment)
        try:
            wait_until_listening(int(self.ports[port]), seconds=90)
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) in (0, -signal.SIGTERM)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def curl(self, line: str) -> str:
        """`curl -d name=value … URL` without curl."""
        *words, url = self.words(line)
        fields = dict(word.split("=", 1) for word in words if "=" in word)
        body = urllib.parse.urlencode(fields).encode()
        with urllib.request.urlopen(url, body, timeout=90) as answer:
            return answer.read().decode()

    def script_replies(self, text: str, *, times: int) -> None:
        """Short ones, as the simulator takes its time to write."""
        body = json.dumps({"text": text, "times": times}).encode()
        url = f"{self.environment['ANTHROPIC_BASE_URL']}/simulator/script"
        request = urllib.request.Request(url, body, {"content-type": "application/json"})
        urllib.request.urlopen(request, timeout=90).close()

    def query(self, sql: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.folder / "db.sqlite3", timeout=20)) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT / "warmcache"))
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it. Its dependencies are lent, as downloading them again proves nothing."""
    python = _bare_environment(tmp_path_factory.mktemp("venv"))
    (site_packages,) = python.parents[1].glob("lib/python*/site-packages")
    _pip("--python", str(python), "install", "--no-deps", str(wheel))
    blocking = (ROOT / "tests" / "host" / "blocking.py").read_text()
    # Not as `sitecustomize`: distributions have one of their own, which comes first.
    (site_packages / "no_foreigners.py").write_text(f"{blocking}\n\nblock{FOREIGN!r}\n")
    (site_packages / "no_foreigners.pth").write_text("import no_foreigners\n")
    return python


@pytest.fixture(scope="module")
def host(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Up to the first server: the README's first block, without its `pip install`."""
    folder = tmp_path_factory.mktemp("host") / "example"
    shutil.copytree(ROOT / "tests" / "host" / "example", folder, ignore=shutil.ignore_patterns("*.sqlite3"))
    ports = {port: str(free_port()) for port in ("8090", "8001", "8002")}
    install, simulator, export, enter, migrate = SETUP.strip().splitlines()
    assert install.startswith("pip install ./warmcache ")
    assert enter == "cd tests/host/example"
    kept = {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder)}
    host = Host(folder=folder, environment=kept, ports=ports)
    kept.update(word.split("=", 1) for word in host.words(export)[1:])
    with host.serving(simulator, "8090", "--noise", "0"):
        host.script_replies(ANSWER, times=20)
        host.run(migrate)
        yield host


def _bare_environment(folder: Path) -> Path:
    """Its Python. It has what this one has installed, and nothing of its own."""
    venv.create(folder, with_pip=False)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    lent = Path(importlib.metadata.distribution("django").locate_file(""))
    (site_packages / "lent.pth").write_text(f"{lent}\n")
    return folder / "bin" / "python"


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", *words]
    subprocess.run(command, check=True, timeout=120)


def visit(host: Host, type_line: str, ask_line: str) -> str:
    """Types until the prompt is warm, then asks."""
    deadline = time.monotonic() + WARM_SECONDS
    while "already_warm" not in (said := host.curl(type_line)):
        assert time.monotonic() < deadline, said
        time.sleep(0.1)
    return host.curl(ask_line)


@pytest.mark.parametrize(
    ("block", "port", "more"),
    [
        pytest.param(ASGI, "8001", [], id="asgi"),
        # As harsh as it gets: the app is loaded before the fork.
        pytest.param(WSGI, "8002", ["--preload"], id="wsgi"),
    ],
)
def test_the_example_of_the_readme_warms_and_streams_and_its_end_flushes(host, block, port, more):
    server, type_line, ask_line = block.strip().splitlines()
    visitor = re.search(r"visitor=(\w+)", ask_line)[1]
    host.query("DELETE FROM warmcache_skipcount")

    with host.serving(server, port, *more):
        answer = visit(host, type_line, ask_line)

    assert answer == ANSWER
    requests = host.query(f"SELECT warmth, status, label FROM warmcache_usagerecord WHERE subject = '{visitor}'")  # noqa: S608
    assert requests == [("hit", "complete", "helpdesk")]
    assert ("already_warm",) in host.query("SELECT reason FROM warmcache_skipcount")


def test_the_wheel_is_what_runs_and_the_chat_is_not_there(python, tmp_path):
    script = f"""
import importlib, warmcache
for name in {FOREIGN!r}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        continue
    raise SystemExit(name)
print(warmcache.__file__)
"""

    said = subprocess.check_output([python, "-c", script], cwd=tmp_path, env={"PATH": os.environ["PATH"]}, text=True)

    assert Path(said.strip()).is_relative_to(python.parents[1])


PACKED = ("*.po", "*.mo", "*.py", "*.html", "*.css", "*.js", "py.typed")


def test_the_wheel_holds_every_module_template_and_migration(wheel, tmp_path):
    shutil.unpack_archive(wheel, tmp_path, "zip")
    package = ROOT / "warmcache"

    found = {path.relative_to(package) for end in PACKED for path in package.rglob(end)}
    wanted = {path for path in found if path.parts[0] != "replay" and path.name != "warmcache_replay.py"}

    packed = {path.relative_to(tmp_path / "warmcache") for path in (tmp_path / "warmcache").rglob("*.*")}
    assert wanted == packed
    assert {path.suffix for path in packed} <= {".po", ".mo", ".py", ".html", ".css", ".js", ".typed"}


def test_an_editable_install_is_the_folder_itself(tmp_path):
    folder = shutil.copytree(ROOT / "warmcache", tmp_path / "checkout" / "warmcache")
    python = _bare_environment(tmp_path / "venv")

    _pip("--python", str(python), "install", "--no-deps", "--no-build-isolation", "--editable", str(folder))

    said = subprocess.check_output(
        [python, "-c", "import warmcache; print(warmcache.__file__)"], cwd=tmp_path, text=True
    )
    assert Path(said.strip()) == folder / "__init__.py"


def test_the_wheel_requires_every_package_that_its_code_imports(wheel, tmp_path):
    shutil.unpack_archive(wheel, tmp_path, "zip")
    (metadata,) = tmp_path.glob("*.dist-info/METADATA")
    required = {re.split(r"[\[><=; ]", line)[1] for line in re.findall(r"Requires-Dist:.*", metadata.read_text())}

    imported = set()
    for path in (tmp_path / "warmcache").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            imported |= {name.split(".")[0] for name in names}

    # By anthropic, by Django, and by whoever has PostgreSQL, for whom alone it is imported.
    brought_along = {"httpx2", "asgiref", "psycopg"}
    foreign = {name.replace("_", "-") for name in imported} - set(sys.stdlib_module_names) - {"warmcache"}
    assert foreign - brought_along - required == set()
