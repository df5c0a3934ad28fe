"""Daphne as we run it: a real process, spoken to over real sockets."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from chatapp.protocol import CLOSE_RESTARTING
from chatapp.protocol.limits import CONNECTION_BYTES
from chatapp.server.listening import ListenError, listen, url_of
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ROOT, ChatServer, clean_environment

pytestmark = pytest.mark.any_database

UVICORN_RESTARTING = 1012


@contextmanager
def open_socket(server: ChatServer, name: str = "ann") -> Iterator[ClientConnection]:
    """Signed in, and past `ready`."""
    headers = {"Cookie": server.users[name].cookie}
    with connect(
        server.socket_url, additional_headers=headers, origin=server.url, proxy=None, open_timeout=PATIENCE_SECONDS
    ) as connection:
        connection.recv(timeout=PATIENCE_SECONDS)
        yield connection


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def status_of(server: ChatServer, path: str, **headers: str) -> int:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
    try:
        client.request("GET", path, headers=headers)
        return client.getresponse().status
    finally:
        client.close()


def test_no_answer_names_the_server(live_server_process):
    client = http.client.HTTPConnection("127.0.0.1", live_server_process.port, timeout=PATIENCE_SECONDS)
    client.request("GET", "/healthz")
    response = client.getresponse()
    response.read()
    client.close()
    with open_socket(live_server_process) as connection:
        handshake = connection.response

    assert response.headers["Server"] is None
    assert "Server" not in handshake.headers


def test_a_client_cannot_choose_the_prefix_of_paths(live_server_process):
    assert status_of(live_server_process, "/accounts/login/", **{"Daphne-Root-Path": "/accounts"}) == 200


def test_a_message_over_the_server_s_limit_ends_only_its_own_socket(live_server_process):
    with open_socket(live_server_process) as other, open_socket(live_server_process) as connection:
        # It ends as soon as the server knows the length: we may still be sending then.
        with pytest.raises(ConnectionClosed):
            connection.send("x" * (CONNECTION_BYTES + 1))
            while True:
                connection.recv(timeout=PATIENCE_SECONDS)

        other.send('{"type": "ping"}')

        assert '"pong"' in other.recv(timeout=PATIENCE_SECONDS)


def close_code_of(connection: ClientConnection) -> int | None:
    """What the server closes with; frames before that are passed over."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            connection.recv(timeout=PATIENCE_SECONDS)
    return closed.value.rcvd.code if closed.value.rcvd else None


def ask(connection: ClientConnection, text: str) -> None:
    frame = {"type": "message.send", "client_message_id": str(uuid4()), "text": text}
    connection.send(json.dumps(frame))


def frames_until(connection: ClientConnection, kind: str) -> list[dict[str, Any]]:
    frames = []
    while not frames or frames[-1]["type"] != kind:
        frames.append(json.loads(connection.recv(timeout=PATIENCE_SECONDS)))
    return frames


def test_a_signal_closes_sockets_with_a_code_that_says_come_back(start_chat_server):
    server = start_chat_server()
    with open_socket(server) as connection:
        exit_code = server.stop()
        code = close_code_of(connection)

    assert (exit_code, code) == (0, CLOSE_RESTARTING)
    assert "Traceback" not in server.log
    assert "being written" not in server.log


def test_while_a_reply_holds_the_drain_it_says_so_takes_no_new_socket_and_a_second_signal_ends_it(start_chat_server):
    server = start_chat_server()
    server.simulator.fault(kind="stall", match="reply", seconds=120)
    with open_socket(server) as reader, open_socket(server, "bob") as idle:
        ask(reader, "Will you ever end?")
        frames_until(reader, "message.created")
        wait_until(lambda: any(request["fault"] for request in server.simulator.requests()))

        server.send_signal(signal.SIGTERM)
        idle_code = close_code_of(idle)
        readiness, liveness = status_of(server, "/readyz"), status_of(server, "/healthz")
        with pytest.raises(InvalidStatus) as refused, open_socket(server):
            pass
        ask(reader, "One more?")
        refusal = frames_until(reader, "error")[-1]
        exit_code = server.stop()

    assert (idle_code, readiness, liveness) == (CLOSE_RESTARTING, 503, 200)
    assert refused.value.response.status_code == 403
    assert refusal["code"] == "restarting"
    assert exit_code == 0


def test_a_drain_lets_replies_end_and_their_readers_hear_it_before_they_are_sent_elsewhere(start_chat_server):
    server = start_chat_server()
    server.simulator.fault(kind="stall", match="reply", where="before_headers")
    with open_socket(server) as reader:
        ask(reader, "Is there time for this?")
        frames_until(reader, "message.created")
        wait_until(lambda: any(request["fault"] for request in server.simulator.requests()))

        server.send_signal(signal.SIGTERM)
        wait_until(lambda: status_of(server, "/readyz") == 503)
        server.simulator.release()
        finished = frames_until(reader, "reply.finished")[-1]
        code = close_code_of(reader)
        exit_code = server.stop()

    assert (finished["status"], code, exit_code) == ("complete", CLOSE_RESTARTING, 0)
    assert "1 replies are being written" in server.log


STUCK = """
import asyncio
import django

django.setup()

from chatapp.process.shutdown import Schedule, Step
from chatapp.server import daphne_server, listening

async def startup(): ...
async def application(scope, receive, send): ...
async def hang(seconds):
    print("draining", flush=True)
    await asyncio.Event().wait()

step = Step(name="hanging", seconds=3600, run=hang, lost="all")
chat = daphne_server.ChatServer(
    application,
    listener=listening.listen("127.0.0.1", 0),
    startup=startup,
    plan_shutdown=lambda say_goodbye: Schedule([step], promised_seconds=3600),
    on_ready=lambda: print("ready", flush=True),
)
chat.run()
"""


def test_a_second_signal_ends_it_at_once_though_replies_are_still_being_put_to_rest():
    environment = clean_environment(DJANGO_SETTINGS_MODULE="chatapp.settings")
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    for expected in ("ready", "draining"):
        assert process.stdout.readline().strip() == expected
        process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=PATIENCE_SECONDS)

    assert (process.returncode, stderr) == (0, "")


def test_paths_are_not_logged(start_chat_server):
    server = start_chat_server(environment={"LOG_LEVEL": "INFO"})

    status_of(server, "/sign-in/a-secret-token/")
    server.stop()

    assert "a-secret-token" not in server.log


def test_a_taken_port_is_told_with_what_to_do():
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ListenError, match=rf"Port {port} is taken.*make run PORT={port + 1}"):
            listen("127.0.0.1", port)


def test_an_address_of_another_machine_is_told():
    with pytest.raises(ListenError, match=r"Cannot listen on 192\.0\.2\.1:0"):
        listen("192.0.2.1", 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_listening_socket_queues_connections_at_once(host):
    try:
        listener = listen(host, 0)
    except ListenError:
        pytest.skip("this machine has no IPv6")

    with listener, socket.create_connection(listener.getsockname()[:2], timeout=PATIENCE_SECONDS):
        assert url_of(listener).startswith("http://[::1]:" if ":" in host else "http://127.0.0.1:")


def test_on_uvicorn_the_end_comes_at_once_and_keeps_what_was_written_of_a_reply(start_chat_server):
    server = start_chat_server(runs_on="uvicorn")
    server.simulator.fault(kind="stall", match="reply", where="after_first_token", seconds=120)
    with open_socket(server) as reader:
        ask(reader, "Will you ever end?")
        said = frames_until(reader, "reply.delta")[-1]["text"]

        server.stop()
        code = close_code_of(reader)

    assert code == UVICORN_RESTARTING
    ((status, text),) = server.query("SELECT status, text FROM chatapp_message WHERE role = 'assistant'")
    assert status == "interrupted"
    assert text.startswith(said)
