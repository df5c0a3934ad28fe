"""A signed-in socket: who is at the other end, which frames it may send, what it is refused."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from autobahn.exception import Disconnected
from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer

from chatapp import access, protocol
from chatapp.health import health
from chatapp.models import User
from chatapp.services import limits, sessions
from chatapp.services.buckets import SocketBuckets
from warmcache.conf import get_config
from warmcache.database import in_database_thread

logger = logging.getLogger(__name__)

SESSION_CHECK_SECONDS = 60.0
"""A session that ended elsewhere without telling us is noticed this long after the last look, at the next command,
ping or event. Typing and acks are not held up by it."""


class SignedInSocket(AsyncWebsocketConsumer):
    """The frame of `ChatConsumer`: it opens for a signed-in user and hands on every frame it can take."""

    user: User

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_ready = False
        self.is_closing = False
        self.session_checked_at = time.monotonic()
        self.buckets = SocketBuckets(time.monotonic)

    async def begin(self) -> None:
        """Called once, before `ready` is sent."""

    async def end(self) -> None:
        """Called once, when the socket is gone."""

    async def take(self, frame: protocol.ClientFrame) -> None:
        """Takes a frame; raises `FrameError` or `access.NotFound` for what is refused."""

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Without the base class's hop to the one shared thread: no database work of ours runs there."""
        handler = getattr(self, get_handler_name(message))
        if message["type"].startswith("websocket."):
            await handler(message)
        else:
            await self.hear(handler, message)

    async def hear(self, handler: Callable[[dict[str, Any]], Awaitable[None]], event: dict[str, Any]) -> None:
        """An event of the channel layer. What it speaks of may be gone by now, which is not worth the socket."""
        try:
            if await self.is_signed_in(max_age_seconds=SESSION_CHECK_SECONDS):
                await handler(event)
        except access.NotFound:
            pass
        except Exception:
            logger.exception("An event of type %s failed", event["type"])

    async def connect(self) -> None:
        self.session_key = sessions.session_key_in(self.scope["headers"])
        user = await in_database_thread(sessions.user_of_session, self.session_key)
        await self.accept()
        if user is None:
            await self.close(protocol.CLOSE_SIGNED_OUT)
            return
        self.user = user
        await self.begin()
        self.is_ready = True
        await self.send_frame(
            protocol.Ready(
                protocol=protocol.PROTOCOL_VERSION,
                user={"id": user.pk, "username": user.get_username(), "is_staff": user.is_staff},
                timings=limits.TIMINGS,
                limits=limits.LIMITS,
                upstream=get_config().upstream,
            )
        )

    async def disconnect(self, code: int) -> None:
        if self.is_ready:
            await self.end()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self.is_ready or self.is_closing:
            return
        frame: protocol.ClientFrame | None = None
        try:
            if text_data is None:
                raise protocol.FrameError("binary_frame", "Frames are JSON text, not bytes.")
            frame = protocol.decode(text_data)
            if health.draining.is_set():
                raise protocol.FrameError(
                    "restarting",
                    "The server is restarting. Try again in a moment.",
                    protocol.ref_of(frame),
                    retryable=True,
                )
            if self.buckets.admits(frame) and await self.may_still(frame):
                await self.take(frame)
        except protocol.FrameError as error:
            await self.refuse(error)
        except access.NotFound as error:
            await self.refuse(protocol.FrameError("not_found", str(error), protocol.ref_of(frame)))
        except Exception:
            logger.exception("A frame of type %s failed", type(frame).__name__)
            sorry = "Something went wrong on our side. Try again."
            await self.refuse(protocol.FrameError("internal_error", sorry, protocol.ref_of(frame), retryable=True))

    async def may_still(self, frame: protocol.ClientFrame) -> bool:
        """Whether the session holds; hints go without a look, so that a key press costs no query."""
        if isinstance(frame, protocol.TypingStarted | protocol.TypingStopped | protocol.ReplySeen):
            return True
        return await self.is_signed_in(max_age_seconds=SESSION_CHECK_SECONDS)

    async def refuse(self, error: protocol.FrameError) -> None:
        await self.send_frame(
            protocol.Error(code=error.code, message=error.message, ref=error.ref, retryable=error.retryable)
        )
        if not self.buckets.strike():
            await self.close(protocol.CLOSE_ABUSE)

    async def send_frame(self, frame: protocol.ServerFrame) -> None:
        if self.is_closing:
            return
        try:
            await self.send(text_data=protocol.encode(frame))
        except Disconnected:
            self.is_closing = True  # gone before it said so: a tab was closed

    async def close(self, code: int | None = None, reason: str | None = None) -> None:
        """From here on nothing is taken and nothing is sent, however long the browser takes to say goodbye."""
        self.is_closing = True
        await super().close(code=code, reason=reason)

    async def is_signed_in(self, *, max_age_seconds: float) -> bool:
        """Reads the session again if the last look is older; closes the socket where it has ended."""
        if self.is_closing:
            return False
        if time.monotonic() - self.session_checked_at <= max_age_seconds:
            return True
        self.session_checked_at = time.monotonic()
        if await in_database_thread(sessions.user_of_session, self.session_key) is not None:
            return True
        await self.close(protocol.CLOSE_SIGNED_OUT)
        return False
