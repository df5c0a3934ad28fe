"""The base of the consumer: authenticates the socket, checks and limits its frames, and queues their work."""

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, cast

from autobahn.exception import Disconnected
from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.db import IntegrityError

from chatapp import front_end, log_context, protocol
from chatapp.accounts import sessions
from chatapp.conversations import access
from chatapp.events import SignOutEvent
from chatapp.models import User
from chatapp.process import open_sockets
from chatapp.process.health import health
from chatapp.protocol import limits
from chatapp.protocol.direct import DirectWay, direct_way
from chatapp.protocol.views import QuotaView
from chatapp.protocol.words import ErrorCode
from chatapp.quotas import charges
from chatapp.quotas.common_places import of_person, places
from chatapp.replies.log import LogFrame
from chatapp.replies.patient_writes import DATABASE_TROUBLE
from chatapp.socket.buckets import SocketBuckets
from chatapp.socket.lane import Job, Lane
from chatapp.socket.send_window import SendWindow
from chatapp.socket.session_watch import watch as session_watch
from warmcache.background.database import in_database_thread
from warmcache.background.tasks import TaskOwner
from warmcache.conf import get_config

logger = logging.getLogger(__name__)
access_logger = logging.getLogger("chatapp.access")

SOCKET_ROUTE = "/ws/chat/"

PONG_SECONDS = 1.0
"""A `pong` waits for the work before its `ping` at most this long: a slow database must not look like a dead server."""

LAST_WORK_SECONDS = 5.0
"""Time to finish what a browser sent just before it disconnected."""

MAKE_UP_SECONDS = 2.0
"""Pause before work is retried after a database failure."""

LIFETIME_SECONDS = 12 * 3600.0
"""The lifetime of a socket, plus or minus a tenth, so that the sockets of one restart do not end together. An old page
reconnects with the current timings, to whatever process has the fewest sockets."""

LAST_REPLY_SECONDS = 5.0
"""Time between checks whether an expired socket still reads a reply."""

ACK_TYPE = b'"reply.seen"'
ACK_TYPE_ENDS = 24
"""Every known client writes a frame's type first: `{"type": "reply.seen"`."""

HINTS = protocol.TypingStarted | protocol.TypingStopped | protocol.ReplySeen
TAKEN_WHILE_DRAINING = (
    protocol.ConversationOpen | protocol.ReplyStop | protocol.ToolAnswer | protocol.ReplySeen | protocol.Ping
)


class SignedInSocket(AsyncWebsocketConsumer):
    """The base of `ChatConsumer`: opens for a signed-in user and passes on every valid frame.

    Frames are read at once and their work is done in a lane, so that acks and pings never wait for a database.
    """

    user: User

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_ready = False
        self.is_closing = False
        self.is_gone = False
        self.session_key = ""
        self.place = ""
        self.opened_at = 0.0
        self.buckets = SocketBuckets(time.monotonic)
        self.window = SendWindow(time.monotonic)
        self.direct: DirectWay | None = None
        self.frame_numbers = itertools.count(1)
        self.lane = Lane("socket")
        self.pongs = TaskOwner("socket")
        self.to_make_up: dict[object, Job] = {}
        self.make_up_timer: asyncio.TimerHandle | None = None
        self.lifetime_timer: asyncio.TimerHandle | None = None

    async def begin(self) -> None:
        """Called once, before `ready` is sent."""

    async def end(self) -> None:
        """Called once, when the socket is gone."""

    async def take(self, frame: protocol.ClientFrame) -> None:
        """Handles a frame; raises `FrameError` or `access.NotFound` if it is refused."""

    async def read_again(self, event: dict[str, Any]) -> None:
        """This socket has missed events: sends the current state."""

    @property
    def user_id(self) -> int:
        return self.user.pk

    @property
    def is_working(self) -> bool:
        """Whether work that its user asked for is in progress."""
        return len(self.lane) > 0

    @property
    def is_reading(self) -> bool:
        """Whether a reply is on its way to it."""
        return False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.give_place_back()  # also of a socket whose task was cancelled

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Skips the base class's hop to the one shared thread: none of our database work runs there."""
        if message["type"] == "session.ended":
            # Not in the lane, where it would wait for the work of a session that has ended.
            session_watch.hear(cast(SignOutEvent, message))
            return
        handler = getattr(self, get_handler_name(message), None)
        if handler is None:
            logger.warning("An event of type %s is unknown: another release has sent it", message["type"])
        elif message["type"].startswith("websocket."):
            await handler(message)
        elif len(self.lane) >= limits.WAITING_EVENTS:
            await self.close(protocol.CLOSE_TOO_SLOW)
        else:
            self.lane.put(partial(self.hear, handler, message))

    async def hear(self, handler: Callable[[dict[str, Any]], Awaitable[None]], event: dict[str, Any]) -> None:
        """Handles a channel-layer event. What it names may be deleted by now, which must not close the socket."""
        try:
            if not self.is_closing:
                await handler(event)
        except access.NotFound:
            pass
        except DATABASE_TROUBLE as error:
            logger.warning("An event of type %s is made up for later: %s", event["type"], error)
            self.make_up_news()
        except Exception:
            logger.exception("An event of type %s failed", event["type"])

    def make_up_news(self) -> None:
        self.make_up("news", partial(self.hear, self.read_again, {"type": "news.missed"}))

    def make_up(self, key: object, job: Job) -> None:
        """Retries `job` a little later, in the lane; once per key, however often it is called."""
        self.to_make_up[key] = job
        if self.make_up_timer is None and not (self.is_closing or self.is_gone):
            self.make_up_timer = asyncio.get_running_loop().call_later(MAKE_UP_SECONDS, self._make_up_now)

    def _make_up_now(self) -> None:
        self.make_up_timer = None
        jobs, self.to_make_up = self.to_make_up, {}
        for job in jobs.values():
            self.lane.put(job)

    async def connect(self) -> None:
        log_context.bind(request=log_context.new_request_id())
        self.session_key = sessions.session_key_in(self.scope["headers"]) or ""
        try:
            user, quota = await in_database_thread(_who, self.session_key)
        except DATABASE_TROUBLE as error:
            logger.warning("A socket is told to come back, because the database does not answer: %s", error)
            await self.accept()
            await self.close(protocol.CLOSE_RESTARTING)
            return
        await self.accept()
        if user is None:
            await self.close(protocol.CLOSE_SIGNED_OUT)
            return
        self.user = user
        log_context.bind(person=user.pk)
        place = of_person(user.pk)
        if not await places.admits(place, settings.SOCKETS_PER_PERSON):
            await self.close(protocol.CLOSE_TOO_MANY)
            return
        self.place = place
        open_sockets.add(self)
        self.opened_at = time.monotonic()
        if settings.ACCESS_LOG:
            access_logger.info("A socket is open", extra={"fields": {"route": SOCKET_ROUTE}})
        await self.begin()
        self.is_ready = True
        self.direct = direct_way(self.scope)
        if self.direct is not None:
            self.direct.take_now = self.take_ack
        self._live_for(LIFETIME_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - no secret
        session_watch.add(self)
        await self.send_frame(
            protocol.Ready(
                protocol=protocol.PROTOCOL_VERSION,
                user={"id": user.pk, "username": user.get_username(), "is_staff": user.is_staff},
                timings=limits.TIMINGS,
                limits=limits.LIMITS,
                upstream=get_config().upstream,
                quota=list(quota),
                release=front_end.release(),
            )
        )

    def _live_for(self, seconds: float) -> None:
        self.lifetime_timer = asyncio.get_running_loop().call_later(seconds, self._grow_old)

    def _grow_old(self) -> None:
        """Closes the expired socket, but not before the end of a reply that it reads."""
        if self.is_reading:
            self._live_for(LAST_REPLY_SECONDS)
        elif not self.is_closing:
            self.lane.put(partial(self.close, protocol.CLOSE_LIFETIME))

    def give_place_back(self) -> None:
        if self.place:
            places.leave(self.place)
            self.place = ""

    async def disconnect(self, code: int) -> None:
        open_sockets.discard(self)
        if settings.ACCESS_LOG and self.place:
            seconds = round(time.monotonic() - self.opened_at, 1)
            fields = {"route": SOCKET_ROUTE, "code": code, "seconds": seconds}
            access_logger.info("A socket is closed: %s", code, extra={"fields": fields})
        self.give_place_back()
        self.is_gone = True
        if self.direct is not None:
            self.direct.take_now = None
        for timer in (self.make_up_timer, self.lifetime_timer):
            if timer is not None:
                timer.cancel()
        if self.is_ready:
            session_watch.discard(self)
        await self.lane.close(timeout_seconds=LAST_WORK_SECONDS)
        await self.pongs.close()
        if self.is_ready:
            await self.end()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Never waits for the work that a frame asks for."""
        if not self.is_ready or self.is_closing:
            return
        if not self.buckets.admits_another():
            await self.close(protocol.CLOSE_ABUSE)
            return
        try:
            if text_data is None:
                raise protocol.FrameError(ErrorCode.BINARY_FRAME, "Frames are JSON text, not bytes.")
            self.sort(protocol.decode(text_data))
        except protocol.FrameError as error:
            if len(self.lane) < limits.WAITING_EVENTS:
                self.lane.put(partial(self.refuse, error))
            else:
                await self.close(protocol.CLOSE_ABUSE)

    def take_ack(self, text: bytes) -> bool:
        """Takes an ack, which needs neither the lane nor a task; everything else goes through `receive`."""
        if self.is_closing or ACK_TYPE not in text[:ACK_TYPE_ENDS]:
            return False
        try:
            frame = protocol.decode(text.decode())
        except protocol.FrameError:
            return False
        if not isinstance(frame, protocol.ReplySeen) or frame.ttft_ms is not None or not self.buckets.admits_another():
            return False
        self.sort(frame)
        return True

    def sort(self, frame: protocol.ClientFrame) -> None:
        """Does at once what costs nothing and queues the rest in the lane."""
        if isinstance(frame, protocol.ReplySeen):
            self.window.seen(frame.reply_id, frame.seq)
        if health.draining.is_set() and not isinstance(frame, TAKEN_WHILE_DRAINING):
            raise protocol.FrameError(
                ErrorCode.RESTARTING,
                "The server is restarting. Try again in a moment.",
                protocol.ref_of(frame),
            )
        if not self.buckets.admits(frame):
            return
        if isinstance(frame, protocol.Ping):
            self.pongs.spawn(self.answer_ping(), name="pong")
        if isinstance(frame, protocol.ReplySeen) and frame.ttft_ms is None:
            return
        is_hint = isinstance(frame, HINTS | protocol.Ping)
        if len(self.lane) < (limits.WAITING_HINTS if is_hint else limits.WAITING_FRAMES):
            self.lane.put(partial(self.work_on, frame))
        elif not is_hint:
            raise protocol.FrameError(
                ErrorCode.RATE_LIMITED, "Too many requests wait. Wait a moment.", protocol.ref_of(frame)
            )

    async def work_on(self, frame: protocol.ClientFrame) -> None:
        try:
            if not self.is_closing:
                await self.take(frame)
        except protocol.FrameError as error:
            await self.refuse(error)
        except access.NotFound as error:
            await self.refuse(protocol.FrameError(ErrorCode.NOT_FOUND, str(error), protocol.ref_of(frame)))
        except DATABASE_TROUBLE as error:
            await self.refuse_for_now(frame, error)
        except Exception:
            logger.exception("A frame of type %s failed", type(frame).__name__)
            sorry = "Something went wrong on our side. Try again."
            await self.refuse(protocol.FrameError(ErrorCode.INTERNAL_ERROR, sorry, protocol.ref_of(frame)))

    async def refuse_for_now(self, frame: protocol.ClientFrame, error: Exception) -> None:
        """The database does not answer, or the user has been deleted: then a new row cannot name them."""
        name = type(frame).__name__
        if isinstance(error, IntegrityError):
            if await in_database_thread(sessions.user_of_session, self.session_key) is None:
                await self.close(protocol.CLOSE_SIGNED_OUT)
                return
            logger.error("A frame of type %s failed", name, exc_info=error)
        else:
            logger.warning("A frame of type %s is refused, because the database does not answer: %s", name, error)
        sorry = "The database does not answer just now. Try again in a moment."
        await self.refuse(protocol.FrameError(ErrorCode.UNAVAILABLE, sorry, protocol.ref_of(frame)))

    async def answer_ping(self) -> None:
        await self.lane.caught_up(timeout_seconds=PONG_SECONDS)
        await self.send_frame(protocol.Pong())

    async def refuse(self, error: protocol.FrameError) -> None:
        await self.send_frame(
            protocol.Error(
                code=error.code,
                message=error.message,
                ref=error.ref,
                retryable=error.code.is_retryable,
                quota=error.quota,
            )
        )
        if not self.buckets.strike():
            await self.close(protocol.CLOSE_ABUSE)

    async def send_frame(self, frame: protocol.ServerFrame) -> int:
        """Waits where the browser reads slowly. Returns the frame's size in bytes."""
        return await self.send_text(protocol.encode(frame))

    async def send_text(self, text: str) -> int:
        """As `send_frame`, for a frame that was encoded once for all its receivers.

        Everything sent to a page goes through here, and no WebSocket message is larger than `MAX_SENT_BYTES`.
        """
        texts = [] if self.is_closing else protocol.parts_of(text, number=next(self.frame_numbers))
        for part in texts:
            if self.is_closing:
                break
            try:
                await self.send(text_data=part)
            except (Disconnected, OSError):
                self.is_closing = True  # the peer left without a close frame: a tab was closed
        return sum(map(len, texts))

    async def send_reply_frame(self, frame: protocol.ServerFrame, text: bytes) -> None:
        """As `send_text`, for frames that the page acknowledges: also waits if the page shows them slowly."""
        if not self.is_closing and not await self.window.has_room():
            await self.close(protocol.CLOSE_TOO_SLOW)
        size_bytes = await self.send_text(text.decode())
        if isinstance(frame, protocol.ReplyDelta | protocol.ReplyBlock | protocol.ReplyFinished):
            self.window.sent(frame.reply_id, frame.seq, size_bytes)

    def send_reply_frame_now(self, frame: LogFrame, text: bytes) -> bool:
        """As `send_reply_frame`, if neither the page nor the connection has to be waited for and the frame is sent as
        one message; otherwise nothing is sent. False on servers that cannot send at once."""
        is_possible = self.window.is_open and len(text) <= protocol.MAX_SENT_BYTES
        if self.direct is None or self.is_closing or not is_possible or not self.direct.send_now(text):
            return False
        self.window.sent(frame.reply_id, frame.seq, len(text))
        return True

    async def close(self, code: int | None = None, reason: str | None = None) -> None:
        """From now on nothing is received or sent, however long the browser's close handshake takes."""
        self.is_closing = True
        await super().close(code=code, reason=reason)


def _who(session_key: str | None) -> tuple[User | None, Sequence[QuotaView]]:
    """The signed-in user, and the limits of which little is left."""
    user = sessions.user_of_session(session_key)
    return user, () if user is None else charges.nearly_met(user.pk)
