"""An old and a new process behind one address: what one of them hands out, the other one must serve as well."""

import io
import os
import re
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError

import pytest
from django.http import HttpRequest, HttpResponse

from chatapp.pages.middleware import StaticFilesMiddleware
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ROOT, ChatServer
from tests.servers.releases import collect, files_of, next_release
from tests.servers.tabs import open_tab

ADDED = {"css/base.css": "\n.next { color: inherit }\n", "js/main.js": "\n// next\n"}


def fetch(server: ChatServer, path: str) -> tuple[str, Message]:
    headers = {"Cookie": server.users["ann"].cookie, "Accept-Encoding": "gzip" if "/css/" in path else "identity"}
    request = urllib.request.Request(server.url + path, headers=headers)
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
        return answer.read().decode(errors="replace"), answer.headers


def missing(server: ChatServer, paths: set[str]) -> list[str]:
    found = []
    for path in sorted(paths):
        try:
            fetch(server, path)
        except HTTPError:
            found.append(path)
    return found


async def release_told_by(server: ChatServer) -> str:
    async with open_tab(server) as tab:
        return str(tab.frames[0]["release"])


@pytest.mark.any_database
async def test_each_serves_the_files_of_the_other_s_pages_for_ever(
    start_chat_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    kept = {"KEPT_STATIC_ROOT": str(tmp_path / "kept")}
    old = start_chat_server(environment=collect(tmp_path / "old") | kept)
    next_files = next_release(tmp_path / "old", tmp_path / "new", added=ADDED)
    new = start_chat_server(beside=old, environment=next_files | kept)

    pages = [fetch(server, "/")[0] for server in (old, new)]
    first, second = (files_of(page) for page in pages)
    releases = [await release_told_by(server) for server in (old, new)]

    assert len(first - second) == len(second - first) == len(ADDED)
    assert len(first & second) > 50
    assert [missing(server, first | second) for server in (old, new)] == [[], []]
    assert releases[0] != releases[1]
    assert all(f'"release": "{release}"' in page for release, page in zip(releases, pages, strict=True))
    (stylesheet,) = {path for path in second - first if re.search(r"/css/base\.[0-9a-f]{12}\.css$", path)}
    for server in (old, new):
        _, headers = fetch(server, stylesheet)
        assert headers["Cache-Control"] == "max-age=315360000, public, immutable"
        assert headers["Content-Encoding"] == "gzip"


@pytest.mark.any_database
async def test_a_file_that_is_collected_later_is_found_and_nothing_else_is(settings, tmp_path):
    async def not_found(request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=404)

    async def status_of(path: str) -> int:
        request = HttpRequest()
        request.path = request.path_info = path
        request.method = "HEAD"
        return (await middleware(request)).status_code

    (tmp_path / "js").mkdir()
    settings.STATIC_ROOT = tmp_path
    settings.SERVESTATIC_AUTOREFRESH = settings.SERVESTATIC_USE_FINDERS = False
    middleware = StaticFilesMiddleware(not_found)
    paths = ["/static/js/a.0123456789ab.js", "/static/js/a.js", "/static/../etc/a.0123456789ab.js"]

    before = [await status_of(path) for path in paths]
    for name in ("a.0123456789ab.js", "a.js"):
        (tmp_path / "js" / name).write_text("1")
    after = [await status_of(path) for path in paths]

    assert before == [404, 404, 404]
    assert after == [200, 404, 404]


def release_before() -> str:
    """The newest tag that this version descends from; `RELEASE_BEFORE` names another one."""
    if named := os.environ.get("RELEASE_BEFORE"):
        return named
    command = ["git", "describe", "--tags", "--abbrev=0"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


@pytest.fixture
def tree_before(tmp_path: Path) -> Path:
    """The program as it was in the release before."""
    tag = release_before()
    if not tag:
        pytest.skip("there is no release before this version")
    packed = subprocess.run(["git", "archive", tag], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    return tmp_path


@contextmanager
def served_from(tree: Path, server: ChatServer) -> Iterator[None]:
    """Another program in place of a stopped server: same port, same database."""
    command = [sys.executable, "manage.py", "serve", "--port", str(server.port)]
    with subprocess.Popen(command, cwd=tree, env=server.environment(), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.startswith("Serving "))
        try:
            yield
        finally:
            process.terminate()
            process.stderr.read()
    assert process.returncode == 0


async def test_the_version_before_goes_on_after_this_one_has_migrated(
    start_chat_server: Callable[..., ChatServer], tree_before: Path
) -> None:
    server = start_chat_server()
    async with open_tab(server) as tab:
        created = await tab.say_and_hear("Before")
        await tab.until("reply.finished")
    server.stop()

    with served_from(tree_before, server):
        async with open_tab(server) as tab:
            await tab.open(created["conversation_id"])
            await tab.say("After", conversation_id=created["conversation_id"])
            finished = await tab.until("reply.finished")
        page, _ = fetch(server, f"/c/{created['conversation_id']}/")

    assert finished["status"] == "complete"
    assert "Warmcache" in page
