"""Daphne as we run it: a real process, spoken to over real sockets."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from chatapp.listening import ListenError, listen, url_of
from chatapp.protocol import CLOSE_RESTARTING
from chatapp.server import MESSAGE_BYTES
from tests.servers.chat_server import ROOT, ChatServer, clean_environment


@contextmanager
def open_socket(server: ChatServer, name: str = "ann") -> Iterator[ClientConnection]:
    """Signed in, and past `ready`."""
    headers = {"Cookie": server.users[name].cookie}
    with connect(server.socket_url, additional_headers=headers, origin=server.url, proxy=None) as connection:
        connection.recv(timeout=10)
        yield connection


def status_of(server: ChatServer, path: str, **headers: str) -> int:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        client.request("GET", path, headers=headers)
        return client.getresponse().status
    finally:
        client.close()


def test_no_answer_names_the_server(live_server_process):
    client = http.client.HTTPConnection("127.0.0.1", live_server_process.port, timeout=10)
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
        connection.send("x" * (MESSAGE_BYTES + 1))
        with pytest.raises(ConnectionClosed):
            while True:
                connection.recv(timeout=10)

        other.send('{"type": "ping"}')

        assert '"pong"' in other.recv(timeout=10)


def test_a_signal_closes_sockets_with_a_code_that_says_come_back(start_chat_server):
    server = start_chat_server()
    with open_socket(server) as connection:
        exit_code = server.stop()
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                connection.recv(timeout=10)

    assert exit_code == 0
    assert closed.value.rcvd.code == CLOSE_RESTARTING
    assert "Traceback" not in server.log


def test_while_it_drains_it_says_so_and_takes_no_new_socket(start_chat_server):
    """A stalled reply keeps the drain open long enough to look."""
    server = start_chat_server()
    answers: dict[str, int] = {}
    with open_socket(server) as slow_leaver:
        slow_leaver.socket.settimeout(None)
        # A peer that does not answer the close frame holds the last step of the drain.
        slow_leaver.protocol.receive_data = lambda data: None
        os.kill(server.process.pid, signal.SIGTERM)
        deadline = time.monotonic() + 5
        while answers.get("readyz") != 503 and time.monotonic() < deadline:
            answers["readyz"] = status_of(server, "/readyz")
        answers["healthz"] = status_of(server, "/healthz")
        with pytest.raises(InvalidStatus) as refused, open_socket(server):
            pass
    server.stop()

    assert answers == {"readyz": 503, "healthz": 200}
    assert refused.value.response.status_code == 403


STUCK = """
import asyncio, os, signal, sys
from chatapp import listening, server

class Lifecycle:
    async def startup(self): ...
    async def shutdown(self):
        print("draining", flush=True)
        await asyncio.Event().wait()

async def application(scope, receive, send): ...

server.DRAIN_SECONDS = 3600
chat = server.ChatServer(
    application,
    listener=listening.listen("127.0.0.1", 0),
    lifecycle=Lifecycle(),
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
    _, stderr = process.communicate(timeout=20)

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

    with listener, socket.create_connection(listener.getsockname()[:2], timeout=5):
        assert url_of(listener).startswith("http://[::1]:" if ":" in host else "http://127.0.0.1:")
