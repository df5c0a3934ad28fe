"""The reply readers of one socket: each follows a running reply from the socket's own cursor."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import aclosing
from uuid import UUID

from chatapp.protocol import ReplyStarted, ServerFrame, encode_bytes
from chatapp.replies.log import LogFrame, LogGap, ReplyLog
from warmcache.background.tasks import TaskOwner

Send = Callable[[ServerFrame, bytes], Awaitable[None]]
"""Called with a frame and its encoded text, which all readers of a log share."""

SendNow = Callable[[LogFrame, bytes], bool]
"""The same for a frame that can be sent without waiting; False if it cannot, and then nothing was sent."""

MAX_KNOWN = 64
"""The number of replies that a socket remembers as already announced."""


class ReplyReaders:
    """One reader task per reply. A reply does not depend on its readers. The task runs only where something has to be
    waited for: all other frames are sent while they are appended to the log.

    `begin_anew` is called with a conversation and a reply if the log cannot continue from the socket's cursor: the
    socket then needs the whole state, followed by the rest or the end.
    """

    def __init__(self, send: Send, send_now: SendNow, begin_anew: Callable[[UUID, UUID], Awaitable[None]]) -> None:
        self._send = send
        self._send_now = send_now
        self._begin_anew = begin_anew
        self._tasks = TaskOwner("reader")
        self._by_reply: dict[UUID, asyncio.Task[None]] = {}
        self._known: OrderedDict[UUID, None] = OrderedDict()

    def start(self, log: ReplyLog) -> None:
        """Announces a reply to the socket and follows it from its first frame; repeated calls do nothing.

        The sender of a message calls it directly and also gets the event, in either order.
        """
        if log.reply_id not in self._known and log.reply_id not in self._by_reply:
            self._spawn(log.reply_id, self._tell_and_follow(log))

    def know(self, reply_ids: Iterable[UUID]) -> None:
        """Marks replies that the socket has already received in full."""
        for reply_id in reply_ids:
            self._known[reply_id] = None
            self._known.move_to_end(reply_id)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    async def resume(self, log: ReplyLog, *, after_seq: int) -> None:
        """Follows a reply after the cursor; first ends any earlier reader of it on this socket."""
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
        """Whether this socket still follows an unfinished reply."""
        return bool(self._by_reply)

    async def close(self) -> None:
        await self._tasks.close()

    async def _tell_and_follow(self, log: ReplyLog) -> None:
        await log.warmth_known()
        head = log.head
        started = ReplyStarted(
            reply_id=head.reply_id,
            parent_id=head.parent_id,
            conversation_id=head.conversation_id,
            epoch=head.epoch,
            model=head.model,
            warmth=head.warmth,
        )
        await self._send(started, encode_bytes(started))
        await self._follow(log, 0)

    async def _follow(self, log: ReplyLog, after_seq: int) -> None:
        try:
            following = log.follow(after_seq, lambda frame: self._send_now(frame, log.encoded(frame)))
            async with aclosing(following) as frames:
                async for frame in frames:
                    await self._send(frame, log.encoded(frame))
        except LogGap:
            # The next frames belong to another reader, of another log, or to none.
            self._by_reply.pop(log.reply_id, None)
            await self._begin_anew(log.head.conversation_id, log.reply_id)
