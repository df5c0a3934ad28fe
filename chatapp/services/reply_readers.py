"""What one socket reads: each running reply from the socket's own cursor on."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from chatapp.protocol import ReplyStarted, ServerFrame
from chatapp.services.reply_log import ReplyLog
from chatapp.services.reply_run import ReplyRun
from warmcache.tasks import TaskOwner

Send = Callable[[ServerFrame], Awaitable[None]]


class ReplyReaders:
    """One reader task per reply. A reply ends without its readers and goes on without them."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._tasks = TaskOwner("reader")
        self._by_reply: dict[UUID, asyncio.Task[None]] = {}

    async def start(self, run: ReplyRun, conversation_id: UUID) -> None:
        """Tells the socket of a reply and follows it from its first frame, unless it is followed already."""
        if run.reply_id in self._by_reply:
            return
        await self._send(
            ReplyStarted(
                reply_id=run.reply_id,
                parent_id=run.parent_id,
                conversation_id=conversation_id,
                epoch=run.log.epoch,
                model=run.model,
                warmth=run.warmth,
            )
        )
        await self.resume(run.log, after_seq=0)

    async def resume(self, log: ReplyLog, *, after_seq: int) -> None:
        """Follows a reply behind the cursor; an earlier reader of it on this socket ends first."""
        earlier = self._by_reply.pop(log.reply_id, None)
        if earlier is not None:
            earlier.cancel()
            await asyncio.wait({earlier})
        self._by_reply[log.reply_id] = self._tasks.spawn(self._follow(log, after_seq), name=f"reply {log.reply_id}")

    async def close(self) -> None:
        await self._tasks.close()

    async def _follow(self, log: ReplyLog, after_seq: int) -> None:
        try:
            async for frame in log.follow(after_seq):
                await self._send(frame)
        finally:
            if self._by_reply.get(log.reply_id) is asyncio.current_task():
                del self._by_reply[log.reply_id]
