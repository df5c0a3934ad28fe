"""Static files as they stand; for collected ones see `process/test_rolling_upgrade.py`."""

import urllib.error
import urllib.request
from email.message import Message
from pathlib import Path

import pytest

from tests.servers import PATIENCE_SECONDS

pytestmark = pytest.mark.any_database

ROOT = Path(__file__).resolve().parents[3]


def get(url: str, **headers: str) -> tuple[int, Message, bytes]:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_a_file_is_served_as_it_stands_and_asked_about_each_time(live_server_process):
    status, headers, body = get(f"{live_server_process.url}/static/css/base.css")

    assert (status, body) == (200, (ROOT / "static/css/base.css").read_bytes())
    assert headers["Content-Type"].startswith("text/css")
    assert headers["Cache-Control"] == "max-age=0, public"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize(("asked", "told"), [("If_None_Match", "ETag"), ("If_Modified_Since", "Last-Modified")])
def test_an_unchanged_file_is_not_sent_again(live_server_process, asked, told):
    url = f"{live_server_process.url}/static/css/base.css"
    _, headers, _ = get(url)

    status, _, body = get(url, **{asked: headers[told]})

    assert (status, body) == (304, b"")


def test_front_end_packages_are_served_under_their_prefix_only(live_server_process):
    status, headers, _ = get(f"{live_server_process.url}/static/npm/dompurify/purify.es.mjs")
    elsewhere, _, _ = get(f"{live_server_process.url}/static/purify.es.mjs")

    assert (status, elsewhere) == (200, 404)
    assert headers["Content-Type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path",
    [
        "/static/../chatapp/settings.py",
        "/static/%2e%2e/manage.py",
        "/static/css/",
        "/static//etc/passwd",
        "/static/a%00b",
    ],
)
def test_nothing_else_of_the_machine_is_served(live_server_process, path):
    assert get(live_server_process.url + path)[0] == 404


def test_the_admin_s_own_files_are_served(live_server_process):
    assert get(f"{live_server_process.url}/static/admin/css/base.css")[0] == 200
