"""A browser tab for tests: one socket on the real ASGI application, in this process, and every frame it got."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Self
from uuid import uuid4

from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore

from chatapp.asgi import application
from chatapp.models import User
from tests.frame_parts import FrameJoiner
from tests.servers import PATIENCE_SECONDS

HOST = "localhost:8000"
ORIGIN = f"http://{HOST}"


class SocketClosedError(Exception):
    """The server closed the socket; `code` says why."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


def sign_in(user: User) -> str:
    """A session as the sign-in page makes it; gives its key."""
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


def cookie_of(session_key: str) -> str:
    return f"{settings.SESSION_COOKIE_NAME}={session_key}"


class Tab:
    """Frames are dicts. `frames` holds all that were read so far, `ready` the first."""

    def __init__(self, cookie: str, *, origin: str | None = ORIGIN, host: str = HOST) -> None:
        headers = {"host": host, "origin": origin, "cookie": cookie or None}
        self.frames: list[dict[str, Any]] = []
        self.ready: dict[str, Any] = {}
        self.closed_with: int | None = None
        self.joiner = FrameJoiner()
        self._unread: deque[dict[str, Any]] = deque()
        self._communicator = WebsocketCommunicator(
            application,
            "/ws/chat/",
            headers=[(name.encode(), value.encode("latin-1")) for name, value in headers.items() if value is not None],
        )

    async def connect(self) -> Self:
        """Raises `SocketClosedError` with code 1000 where the socket was refused before it was accepted."""
        accepted, code = await self._communicator.connect(timeout=PATIENCE_SECONDS)
        if not accepted:
            raise SocketClosedError(int(code))
        self.ready = await self.read()
        return self

    async def send(self, kind: str, **fields: Any) -> None:
        await self.send_text(json.dumps({"type": kind, **fields}, default=str))

    async def send_text(self, text: str) -> None:
        await self._communicator.send_input({"type": "websocket.receive", "text": text})

    async def send_bytes(self, data: bytes) -> None:
        await self._communicator.send_input({"type": "websocket.receive", "bytes": data})

    async def say(self, text: str, **place: Any) -> str:
        """Sends a message under a new `client_message_id` and gives that id."""
        client_message_id = str(uuid4())
        await self.send("message.send", client_message_id=client_message_id, text=text, **place)
        return client_message_id

    async def read(self) -> dict[str, Any]:
        """The next frame."""
        # Not `receive_output`: at a time-out it cancels the application, which hides what went wrong.
        frame = None
        while frame is None:
            output = await in_time(self._communicator.output_queue.get())
            if output["type"] == "websocket.close":
                self.closed_with = output.get("code", 1000)
                raise SocketClosedError(self.closed_with)
            frame = self.joiner.take(output["text"])
        self.frames.append(frame)
        return frame

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The next frame of this type with these fields; others on the way are kept in `frames`."""
        while True:
            frame = await self.read()
            if frame["type"] == kind and all(frame.get(name) == value for name, value in fields.items()):
                return frame

    async def read_all(self) -> list[dict[str, Any]]:
        """Whatever the server has to say to what was sent so far. Frames of background tasks may come later."""
        before = len(self.frames)
        await self.send("ping")
        await self.until("pong")
        return self.frames[before:-1]

    async def until_closed(self) -> int:
        """The code that the server closes with."""
        while True:
            try:
                await self.read()
            except SocketClosedError as closed:
                return closed.code

    async def disconnect(self, code: int = 1001) -> None:
        """As a browser does that goes away."""
        await self._communicator.disconnect(code, timeout=PATIENCE_SECONDS)

    def of_type(self, *kinds: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] in kinds]


def reply_text(frames: Iterable[dict[str, Any]]) -> str:
    """The visible text that these frames add up to."""
    return "".join(f["text"] for f in frames if f["type"] == "reply.delta" and f["kind"] == "text")


async def eventually(is_so: Callable[[], Awaitable[Any]]) -> Any:
    """Asks again and again until the answer is true, and gives it: for what another process does in its own time."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if answer := await is_so():
                return answer
            await asyncio.sleep(0.01)


async def in_time(awaitable: Any) -> Any:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await awaitable
