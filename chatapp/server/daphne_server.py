"""Daphne as a library: our own clocks, and our own way to end.

At SIGTERM or Ctrl-C: `/readyz` says `draining`, new sockets are refused, replies may finish, every socket is closed
with 4412 so that its page reconnects elsewhere (see `process/draining.py`), and only then does the process stop
listening and end, after 30 s at most. A second signal ends it at once.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from daphne.server import Server  # first of all that imports Twisted: it installs the asyncio reactor
from twisted.internet import defer, reactor

from chatapp.process.health import health
from chatapp.server.paced_socket import PacedSocket

logger = logging.getLogger(__name__)

MESSAGE_BYTES = 2 * 1024 * 1024
# A silent peer is gone after at most the interval, the answer's deadline, and Daphne's own 2 s round.
PING_INTERVAL_SECONDS = 15
PING_TIMEOUT_SECONDS = 15
CONNECT_TIMEOUT_SECONDS = 20
# No page of ours takes this long: it bounds what a slow client can hold.
HTTP_TIMEOUT_SECONDS = 60
# What the steps of the end may take, one after the other.
DRAIN_SECONDS = 26.0
SHUTDOWN_SECONDS = 2.0
GOODBYE_SECONDS = 1.5
GOODBYE_POLL_SECONDS = 0.05


class Lifecycle(Protocol):
    """What is done in the server's event loop before it is ready and after the first signal."""

    async def startup(self) -> None: ...

    async def drain(self) -> None: ...

    async def shutdown(self) -> None: ...


def refuse_sockets_while_draining(application: Any) -> Any:
    """Wraps an ASGI application: a page that reconnects to a process about to end is sent elsewhere (403)."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "websocket" and health.draining.is_set():
            await send({"type": "websocket.close"})
        else:
            await application(scope, receive, send)

    return wrapped


class ChatServer(Server):
    """One process of the chat: `run` returns once it has ended."""

    def __init__(
        self,
        application: Any,
        *,
        listener: socket.socket,
        lifecycle: Lifecycle,
        on_ready: Callable[[], None],
        proxy_headers: bool = False,
    ) -> None:
        forwarded = {
            "proxy_forwarded_address_header": "X-Forwarded-For",
            "proxy_forwarded_port_header": "X-Forwarded-Port",
            "proxy_forwarded_proto_header": "X-Forwarded-Proto",
        }
        super().__init__(
            refuse_sockets_while_draining(application),
            endpoints=["ours"],
            signal_handlers=False,
            # Paths hold one-time tokens: no access log.
            action_logger=None,
            http_timeout=HTTP_TIMEOUT_SECONDS,
            websocket_timeout=-1,
            websocket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
            websocket_handshake_timeout=CONNECT_TIMEOUT_SECONDS,
            ping_interval=PING_INTERVAL_SECONDS,
            ping_timeout=PING_TIMEOUT_SECONDS,
            websocket_max_message_size=MESSAGE_BYTES,
            websocket_max_frame_size=MESSAGE_BYTES,
            ready_callable=self._begin,
            server_name="",
            **(forwarded if proxy_headers else {}),
        )
        # Daphne insists on an endpoint, but opens sockets only by itself; ours is open already.
        self.endpoints = []
        self._listener = listener
        self._lifecycle = lifecycle
        self._on_ready = on_ready
        self._port: Any = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.exit_code = 0

    def _begin(self) -> None:
        """Called by Daphne when its factories exist, just before the event loop runs."""
        self.ws_factory.protocol = PacedSocket
        family = self._listener.family
        self._port = reactor.adoptStreamPort(self._listener.fileno(), family, self.http_factory)
        self._listener.close()
        loop = asyncio.get_event_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, self._on_signal)
        self._keep(loop.create_task(self._start()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self) -> None:
        try:
            await self._lifecycle.startup()
            self._on_ready()
        except Exception:
            logger.exception("The server could not start.")
            self.exit_code = 1
            self.stop()

    def _on_signal(self) -> None:
        if health.draining.is_set():
            self.stop()
            return
        health.draining.set()
        self._keep(asyncio.get_running_loop().create_task(self._drain()))

    async def _drain(self) -> None:
        await self._in_time(self._lifecycle.drain(), DRAIN_SECONDS, "Replies and sockets did not end in good order")
        await self._in_time(self._lifecycle.shutdown(), SHUTDOWN_SECONDS, "Not everything could be closed")
        for _ in range(round(GOODBYE_SECONDS / GOODBYE_POLL_SECONDS)):
            if not self._open_sockets():
                break
            await asyncio.sleep(GOODBYE_POLL_SECONDS)
        self._port.stopListening()
        self.stop()

    async def _in_time(self, step: Awaitable[None], seconds: float, trouble: str) -> None:
        try:
            await asyncio.wait_for(step, seconds)
        except TimeoutError:
            logger.warning("%s within %.0f s.", trouble, seconds)
        except Exception:
            logger.exception("%s.", trouble)

    def _open_sockets(self) -> list[PacedSocket]:
        """Sockets that are connected, or whose consumer has not finished its `disconnect`."""
        return [
            protocol
            for protocol, details in self.connections.items()
            if isinstance(protocol, PacedSocket)
            and ("disconnected" not in details or not _is_done(details.get("application_instance")))
        ]

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        # Daphne takes the path's prefix from a header that any client can send.
        scope["root_path"] = self.root_path
        if not isinstance(protocol, PacedSocket):
            return super().create_application(protocol, scope)
        messages = protocol.input_queue()
        scope.setdefault("asgi", {"version": "3.0"})
        running = self.application(scope, messages.get, partial(self.handle_reply, protocol))
        self.connections[protocol]["application_instance"] = asyncio.ensure_future(running)
        return messages

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """What the application's `send` does: it waits while the peer reads slowly, as the ASGI servers that have
        flow control do."""
        if message["type"] == "websocket.send":
            await protocol.room()
        await super().handle_reply(protocol, message)

    def kill_all_applications(self) -> Any:
        """Cancels what still runs, and waits for it; a connection may have no application left."""
        running = [
            task for details in self.connections.values() if not _is_done(task := details.get("application_instance"))
        ]
        for task in running:
            task.cancel()
        return defer.Deferred.fromFuture(asyncio.gather(*running, return_exceptions=True))


def _is_done(task: asyncio.Task[Any] | None) -> bool:
    return task is None or task.done()
