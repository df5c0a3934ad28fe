"""Closes sockets whose session has ended, silent ones too: one look per process, however many sockets it has.

An event that names a person makes it look at that person's sessions at once. Everything else that ends a session
without a word (its time is up, a row deleted by hand, an event lost in an outage) is found by a look at all of them.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Collection
from typing import Protocol

from chatapp import protocol
from chatapp.accounts import sessions
from chatapp.events import SignOutEvent
from warmcache.background.database import in_database_thread
from warmcache.background.tasks import TaskOwner

logger = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""Time between two looks at all sessions: two statements, whatever the number of sockets."""


class Watched(Protocol):
    """A socket of a signed-in user."""

    @property
    def session_key(self) -> str: ...

    @property
    def user_id(self) -> int: ...

    @property
    def is_closing(self) -> bool: ...

    async def close(self, code: int) -> None: ...


class SessionWatch:
    """One per process. Its task runs while there are sockets."""

    def __init__(self) -> None:
        self._sockets: defaultdict[int, set[Watched]] = defaultdict(set)
        self._suspects: set[int] = set()
        self._heard: dict[int, str] = {}
        self._has_suspects = asyncio.Event()
        self._tasks = TaskOwner("sessions")
        self._task: asyncio.Task[None] | None = None
        self._is_failing = False

    def add(self, socket: Watched) -> None:
        self._sockets[socket.user_id].add(socket)
        if self._task is None:
            self._has_suspects = asyncio.Event()
            self._is_failing = False
            self._task = self._tasks.spawn(self._watch_forever(), name="watch")

    def discard(self, socket: Watched) -> None:
        """Also accepts a socket that was never added."""
        if (of_user := self._sockets.get(socket.user_id)) is not None:
            of_user.discard(socket)
            if not of_user:
                del self._sockets[socket.user_id]
                self._heard.pop(socket.user_id, None)
        if not self._sockets and self._task is not None:
            self._task.cancel()
            self._task = None

    def hear(self, event: SignOutEvent) -> None:
        """Looks at the sessions of this person at once. Each socket passes on the same event; the first one counts."""
        number = event.get("number", "")  # an earlier release gives none
        if not number or self._heard.get(event["user_id"]) != number:
            self._heard[event["user_id"]] = number
            self._suspects.add(event["user_id"])
            self._has_suspects.set()

    async def _watch_forever(self) -> None:
        loop = asyncio.get_running_loop()
        look_at_all_at = loop.time() + LOOK_SECONDS
        while True:
            try:
                async with asyncio.timeout_at(look_at_all_at):
                    await self._has_suspects.wait()
                user_ids: Collection[int] = self._suspects
            except TimeoutError:
                user_ids = list(self._sockets)
                look_at_all_at = loop.time() + LOOK_SECONDS
            self._suspects = set()
            self._has_suspects.clear()
            await self._look(user_ids)

    async def _look(self, user_ids: Collection[int]) -> None:
        named = (socket for user_id in user_ids for socket in list(self._sockets.get(user_id, ())))
        sockets = [socket for socket in named if not socket.is_closing]
        if not sockets:
            return
        try:
            living = await in_database_thread(sessions.signed_in_among, {socket.session_key for socket in sockets})
        except Exception as error:
            if not self._is_failing:
                logger.warning("Whether sessions have ended cannot be read; sockets stay open for now: %s", error)
            self._is_failing = True
            return
        self._is_failing = False
        for socket in sockets:
            if socket.session_key not in living and not socket.is_closing:
                self._tasks.spawn(socket.close(protocol.CLOSE_SIGNED_OUT), name="close")


watch = SessionWatch()
