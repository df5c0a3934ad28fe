"""Daphne as a library, with our own timeouts and a graceful shutdown.

At SIGTERM or Ctrl-C `/readyz` says `draining`, new sockets are refused, and the schedule of `process/shutdown.py` runs;
then the process stops listening and ends. A second signal ends it at once.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from daphne.server import Server  # must be the first import of Twisted: it installs the asyncio reactor
from twisted.internet import defer, reactor

from chatapp.process.health import health
from chatapp.process.member import Member
from chatapp.process.shutdown import LEAVE_SECONDS, BoundedCall, Schedule, last_resort
from chatapp.protocol.direct import DIRECT
from chatapp.protocol.limits import CONNECTION_BYTES, HANDSHAKE_SECONDS
from chatapp.server.bounded_channel import BoundedChannel
from chatapp.server.paced_socket import PacedSocket

logger = logging.getLogger(__name__)

# A silent peer is dropped after at most the interval, plus the answer's deadline, plus Daphne's own 2 s round.
PING_INTERVAL_SECONDS = 15
PING_TIMEOUT_SECONDS = 15
# None of our pages takes this long: the limit is for slow clients.
HTTP_TIMEOUT_SECONDS = 60
GOODBYE_POLL_SECONDS = 0.05
# At the very end, for applications that do not react to their cancellation.
CANCEL_SECONDS = 0.2
# From the last step until the process has ended: threads may still wait for a database that hangs.
END_SECONDS = 5.0


def refuse_sockets_while_draining(application: Any) -> Any:
    """Wraps an ASGI application: a page that reconnects to an ending process gets 403 and goes elsewhere."""

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
        startup: Callable[[], Awaitable[None]],
        plan_shutdown: Callable[[BoundedCall], Schedule],
        on_ready: Callable[[], None],
        member: Member | None = None,
    ) -> None:
        """`startup` runs in the event loop before `on_ready` is called. `plan_shutdown` makes the schedule from the
        step that waits for sockets. As a `member`, the process shares its port with others."""
        super().__init__(
            refuse_sockets_while_draining(application),
            endpoints=["ours"],
            signal_handlers=False,
            # Paths hold one-time tokens: no access log.
            action_logger=None,
            http_timeout=HTTP_TIMEOUT_SECONDS,
            websocket_timeout=-1,
            websocket_connect_timeout=HANDSHAKE_SECONDS,
            websocket_handshake_timeout=HANDSHAKE_SECONDS,
            ping_interval=PING_INTERVAL_SECONDS,
            ping_timeout=PING_TIMEOUT_SECONDS,
            websocket_max_message_size=CONNECTION_BYTES,
            websocket_max_frame_size=CONNECTION_BYTES,
            ready_callable=self._begin,
            server_name="",
        )
        # Daphne requires an endpoint and always opens its own socket; ours is open already.
        self.endpoints = []
        self._listener = listener
        self._startup = startup
        self._shutdown = plan_shutdown(self._say_goodbye)
        self._on_ready = on_ready
        self._member = member
        self._port: Any = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.exit_code = 0

    def _begin(self) -> None:
        """Daphne calls this when its factories exist, just before the event loop runs."""
        self.ws_factory.protocol = PacedSocket
        self.http_factory.protocol = BoundedChannel  # type: ignore[method-assign, assignment]
        loop = asyncio.get_event_loop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signal_number, self._on_signal)
        self._keep(loop.create_task(self._start()))

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self) -> None:
        try:
            if self._member is not None:
                await self._member.join(drain=self.drain, end=self.end)
            await self._startup()
            self._start_listening()
            self._on_ready()
            if self._member is not None:
                self._member.tell_ready()
        except Exception:
            logger.exception("The server could not start.")
            self.exit_code = 1
            self.end()
        finally:
            self._listener.close()

    def _start_listening(self) -> None:
        """Starts to accept: until now the system has queued connections, or other processes have accepted them."""
        if not health.draining.is_set():
            self._port = reactor.adoptStreamPort(self._listener.fileno(), self._listener.family, self.http_factory)

    def _on_signal(self) -> None:
        if self._member is not None:
            # The supervisor counts the signals; other processes may or may not have got this one.
            self._stop_listening()
            self.drain()
        elif health.draining.is_set():
            self.end()
        else:
            self.drain()

    def drain(self) -> None:
        """Begins the graceful shutdown; repeated calls do nothing."""
        if not health.draining.is_set():
            health.draining.set()
            last_resort.end_within(self._shutdown.total_seconds + LEAVE_SECONDS, exit_code=1)
            self._keep(asyncio.get_running_loop().create_task(self._drain()))

    def end(self) -> None:
        """Ends at once, even if something is lost."""
        health.draining.set()
        last_resort.end_within(END_SECONDS, exit_code=0)
        self.stop()

    async def _drain(self) -> None:
        await self._shutdown.run()
        if self._member is not None:
            await self._member.leave()
        self._stop_listening()
        self.end()

    def _stop_listening(self) -> None:
        """Closes our copy of the socket; if other processes have one, it keeps listening there."""
        port, self._port = self._port, None
        if port is not None:
            port.stopListening()

    async def _say_goodbye(self, seconds: float) -> None:
        while self._open_sockets():  # noqa: ASYNC110 - Daphne has no event for their end
            await asyncio.sleep(GOODBYE_POLL_SECONDS)

    def _open_sockets(self) -> list[PacedSocket]:
        """Sockets that are connected, or whose consumer has not finished its `disconnect`."""
        return [
            protocol
            for protocol, details in self.connections.items()
            if isinstance(protocol, PacedSocket)
            and ("disconnected" not in details or not _is_done(details.get("application_instance")))
        ]

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        # Daphne takes the path prefix from a header that any client can send.
        scope["root_path"] = self.root_path
        if not isinstance(protocol, PacedSocket):
            return super().create_application(protocol, scope)
        messages = protocol.input_queue()
        scope.setdefault("asgi", {"version": "3.0"})
        scope["extensions"] = {DIRECT: protocol}
        running = self.application(scope, messages.get, partial(self.handle_reply, protocol))
        self.connections[protocol]["application_instance"] = asyncio.ensure_future(running)
        return messages

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """The application's `send`: waits while the peer reads slowly, as ASGI servers with flow control do."""
        if message["type"] == "websocket.send":
            await protocol.room()
        await super().handle_reply(protocol, message)

    def kill_all_applications(self) -> Any:
        """Cancels running applications and waits a moment for them; a connection may have no application left."""
        running = [
            task for details in self.connections.values() if not _is_done(task := details.get("application_instance"))
        ]
        for task in running:
            task.cancel()
        return defer.Deferred.fromFuture(asyncio.ensure_future(_have_ended(running)))


async def _have_ended(running: list[asyncio.Task[Any]]) -> None:
    if running:
        await asyncio.wait(running, timeout=CANCEL_SECONDS)


def _is_done(task: asyncio.Task[Any] | None) -> bool:
    return task is None or task.done()
