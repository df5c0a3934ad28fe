"""What one socket reads: each running reply from the socket's own cursor on."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing
from uuid import UUID

from chatapp.protocol import ReplyStarted, ServerFrame, encode
from chatapp.replies.log import LogGap, ReplyLog
from warmcache.background.tasks import TaskOwner

Send = Callable[[ServerFrame, str], Awaitable[None]]
"""Takes a frame and its text, which all readers of a log share."""

MAX_KNOWN = 64
"""Replies that a socket remembers to have been told of."""


class ReplyReaders:
    """One reader task per reply. A reply ends without its readers and goes on without them.

    `begin_anew` is called with a conversation and a reply where the log does not lead on from the socket's cursor: the
    socket is due the whole state, and then the rest or the end.
    """

    def __init__(self, send: Send, begin_anew: Callable[[UUID, UUID], Awaitable[None]]) -> None:
        self._send = send
        self._begin_anew = begin_anew
        self._tasks = TaskOwner("reader")
        self._by_reply: dict[UUID, asyncio.Task[None]] = {}
        self._known: OrderedDict[UUID, None] = OrderedDict()

    def start(self, log: ReplyLog) -> None:
        """Tells the socket of a reply and follows it from its first frame; once per reply, however often it is asked.

        The sender of a message asks itself and hears the event too, whichever comes first.
        """
        if log.reply_id not in self._known and log.reply_id not in self._by_reply:
            self._spawn(log.reply_id, self._tell_and_follow(log))

    def know(self, reply_ids: Iterable[UUID]) -> None:
        """The socket was told of these, from beginning to end."""
        for reply_id in reply_ids:
            self._known[reply_id] = None
            self._known.move_to_end(reply_id)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    async def resume(self, log: ReplyLog, *, after_seq: int) -> None:
        """Follows a reply behind the cursor; every earlier reader of it on this socket ends first."""
        while (earlier := self._by_reply.pop(log.reply_id, None)) is not None:
            earlier.cancel()
            await asyncio.wait({earlier})
        self._spawn(log.reply_id, self._follow(log, after_seq))

    def _spawn(self, reply_id: UUID, reading: Coroutine[None, None, None]) -> None:
        self.know((reply_id,))
        task = self._by_reply[reply_id] = self._tasks.spawn(reading, name=f"reply {reply_id}")
        task.add_done_callback(lambda ended: self._ended(reply_id, ended))

    def _ended(self, reply_id: UUID, task: asyncio.Task[None]) -> None:
        if self._by_reply.get(reply_id) is task:
            del self._by_reply[reply_id]

    @property
    def are_reading(self) -> bool:
        """Whether a reply is still to come to its end here."""
        return bool(self._by_reply)

    async def close(self) -> None:
        await self._tasks.close()

    async def _tell_and_follow(self, log: ReplyLog) -> None:
        await log.warmth_is_known.wait()
        head = log.head
        started = ReplyStarted(
            reply_id=head.reply_id,
            parent_id=head.parent_id,
            conversation_id=head.conversation_id,
            epoch=head.epoch,
            model=head.model,
            warmth=head.warmth,
        )
        await self._send(started, encode(started))
        await self._follow(log, 0)

    async def _follow(self, log: ReplyLog, after_seq: int) -> None:
        try:
            async with aclosing(log.follow(after_seq)) as frames:
                async for frame in frames:
                    await self._send(frame, log.encoded(frame))
        except LogGap:
            # What comes next is another reader's, of another log or none.
            self._by_reply.pop(log.reply_id, None)
            await self._begin_anew(log.head.conversation_id, log.reply_id)
