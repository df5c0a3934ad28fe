"""What people write is in no log, whatever the level, and in nothing else that an operator reads."""

import http.client
import io
import logging
import re
from collections.abc import Callable
from uuid import uuid4

import pytest
from django.db import DataError, IntegrityError
from django.views.debug import ExceptionReporter

from chatapp.process.log_privacy import NoContent, NoContentFormatter, NoContentReports
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ChatServer
from tests.servers.tabs import open_tab

pytestmark = pytest.mark.any_database

CANARY = "yellow-canary-7431"


@pytest.fixture
def log() -> io.StringIO:
    """Everything that two loggers write, ours and a library's, at any level."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(NoContent())
    handler.setFormatter(NoContentFormatter("%(levelname)s %(name)s %(message)s"))
    loggers = [logging.getLogger(name) for name in ("chatapp.tests", "library", "asyncio", "django.security.csrf")]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        logger.addHandler(handler)
    yield written
    for logger, level, propagate in before:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def fail(error: BaseException) -> None:
    try:
        raise error
    except BaseException:
        logging.getLogger("chatapp.tests").exception("A frame of type %s failed", "MessageSend")


def test_a_library_s_requests_are_not_logged_at_any_level(log):
    for level in (logging.DEBUG, logging.INFO):
        logging.getLogger("library").log(level, "Request options: %s", {"json": CANARY})
    logging.getLogger("chatapp.tests").debug("Ours is")

    assert log.getvalue() == "DEBUG chatapp.tests Ours is\n"


@pytest.mark.parametrize(
    "error",
    [
        ValueError(f"invalid literal for int(): {CANARY!r}"),
        KeyError(CANARY),
        DataError(f'invalid input syntax for type integer: "{CANARY}"'),
        IntegrityError(f"duplicate key value violates a constraint\nDETAIL: Key (title)=({CANARY}) already exists."),
        UnicodeEncodeError("utf-8", CANARY, 0, 1, "no"),
        ExceptionGroup("several", [ValueError(CANARY)]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_traceback_names_the_error_and_the_line_but_no_value(log, error):
    fail(error)
    logging.getLogger("chatapp.tests").warning("It is made up for later: %s", error)

    assert type(error).__name__ in log.getvalue()
    assert "test_log_privacy.py" in log.getvalue()
    assert CANARY not in log.getvalue()


def test_causes_are_told_in_the_same_way(log):
    try:
        try:
            raise ValueError(CANARY)
        except ValueError as error:
            raise RuntimeError("the reply has no row") from error
    except RuntimeError as error:
        fail(error)

    assert "ValueError (its words are withheld" in log.getvalue()
    assert "RuntimeError: the reply has no row" in log.getvalue()
    assert CANARY not in log.getvalue()


def test_what_an_operator_can_mend_is_told_in_full(log):
    fail(ConnectionRefusedError(111, "Connect call failed", "127.0.0.1"))

    assert "Connect call failed" in log.getvalue()


def test_representations_of_a_library_are_cut(log):
    logging.getLogger("asyncio").error(f"Task exception was never retrieved\nfuture: <Task args=({CANARY!r})>")
    logging.getLogger("library").error("Traceback (most recent call last):\n...\nValueError: " + CANARY)

    assert "Task exception was never retrieved" in log.getvalue()
    assert CANARY not in log.getvalue()


def test_the_token_of_a_sign_in_link_is_not_logged(log):
    logging.getLogger("django.security.csrf").warning("Forbidden (%s): %s", "CSRF cookie not set.", "/sign-in/abc-123/")

    assert log.getvalue() == "WARNING django.security.csrf Forbidden (CSRF cookie not set.): /sign-in/.../\n"


def test_the_page_of_debug_shows_no_value(rf, settings):
    settings.DEBUG = True
    settings.DEFAULT_EXCEPTION_REPORTER_FILTER = "chatapp.process.log_privacy.NoContentReports"
    request = rf.post("/", {"text": CANARY})
    request.exception_reporter_filter = NoContentReports()

    try:
        written = CANARY
        raise RuntimeError(len(written))
    except RuntimeError as error:
        page = ExceptionReporter(request, type(error), error, error.__traceback__).get_traceback_html()

    values = re.findall(r'<td class="code"><pre>(.*?)</pre>', page, re.DOTALL)
    assert values
    assert not [value for value in values if CANARY in value]


def asked(server: ChatServer, method: str, path: str, *, user: str = "ann", fields: dict | None = None, **files: bytes):
    """One request as a browser makes it, with the CSRF token."""
    token = "x" * 32
    boundary = "boundary"
    parts = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in (fields or {}).items()]
    parts += [f'name="file"; filename="{name}"\r\n\r\n'.encode() + data for name, data in files.items()]
    body = b"".join(b"--boundary\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts)
    headers = {
        "Cookie": f"{server.users[user].cookie}; csrftoken={token}",
        "X-CSRFToken": token,
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "Authorization": "Bearer metrics-token",
    }
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, body + b"--boundary--\r\n" if parts else b"", headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


async def test_what_a_person_writes_is_in_nothing_that_an_operator_reads(
    start_chat_server: Callable[..., ChatServer], tmp_path
):
    server = start_chat_server(
        environment={
            "LOG_LEVEL": "DEBUG",
            "LOG_FORMAT": "json",
            "ACCESS_LOG": "1",
            "ANTHROPIC_LOG": "debug",
            "METRICS_TOKEN": "metrics-token",
        }
    )
    status, _ = asked(server, "POST", "/attachments/", **{f"{CANARY}.txt": f"A file of {CANARY}".encode()})
    assert status == 201
    async with open_tab(server) as tab:
        await tab.send("typing.started", chars=300)
        created = await tab.say_and_hear(f"Tell me of {CANARY}")
        await tab.until("reply.finished")
        server.simulator.fault(kind="status", status=404, match="reply")
        await tab.say(f"Again of {CANARY}", conversation_id=created["conversation_id"])
        await tab.until("reply.finished", status="failed")
        await tab.send_raw(f'{{"type": "message.send", "text": "{CANARY}"}}')
        await tab.until("error")
        await tab.send_raw(f'{{"type": "{CANARY}", ')
        await tab.until("error")
        await tab.send("conversation.open", conversation_id=CANARY)
        await tab.until("error")
    path = f"/c/{created['conversation_id']}/rename/"
    assert asked(server, "POST", path, fields={"title": CANARY})[0] == 204
    asked(server, "POST", "/accounts/login/", fields={"username": "ann", "password": CANARY})
    asked(server, "GET", f"/c/{uuid4()}/?q={CANARY}")
    asked(server, "GET", f"/{CANARY}/")
    pages = [
        asked(server, "GET", "/metrics")[1],
        asked(server, "POST", f"/attachments/?{CANARY}", fields={"file": CANARY})[1],
        asked(server, "POST", f"/admin/chatapp/conversation/{created['conversation_id']}/delete/", user="root",
              fields={"post": "yes"})[1],
        *(asked(server, "GET", f"/admin/{name}/", user="root")[1] for name in (
            "", "warmcache/warmup", "warmcache/usagerecord", "chatapp/conversation", "chatapp/message",
            "chatapp/attachment")),
    ]  # fmt: skip
    logged = server.query("SELECT object_repr, change_message FROM django_admin_log")
    server.stop()

    assert [page for page in pages if CANARY in page] == []
    assert len(logged) == 1
    assert CANARY not in str(logged)
    assert CANARY not in server.log
    assert server.users["ann"].session_key not in server.log
    assert '"route": "/attachments/"' in server.log
    assert '"route": "/ws/chat/"' in server.log
