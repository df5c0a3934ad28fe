"""Reply logs as Redis Streams, so that every process can read what one of them writes.

    <namespace>:reply:<reply id>    one stream per reply; lives 15 minutes after its last write

Two kinds of entries. A *base* holds the head of the reply and its whole content up to a `seq`; a *batch* holds the
frames that came within a moment. An entry's id is made from the last `seq` in it, so that Redis itself refuses
duplicates. The last entry of a reply has the greatest id of all, so that Redis refuses any later write of an owner
whose reply was taken over.

The owner's log in memory comes first and needs no Redis: its sockets read on during a Redis outage. Afterwards the
owner adds what is missing, or writes the whole stream again if it is gone.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from redis.asyncio import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from chatapp.protocol import ReplyFinished
from chatapp.replies.log import MAX_HELD_BYTES, ReplyHead, ReplyLog, Snapshot
from chatapp.replies.logs import MemoryReplyLogs, Replicas, replica_of
from chatapp.replies.redis_stream import LAST, Entry, StreamMirror, apply_entries, base_in, encoded, seq_of
from warmcache.background.tasks import TaskOwner
from warmcache.stores.redis_failover import let_go, write_probe
from warmcache.stores.redis_link import awake_timeout

logger = logging.getLogger(__name__)

WRITE_SECONDS = 0.04
"""Time between two writes. One write has the new frames of all logs of a process."""

WRITE_SECONDS_PER_LOG = 0.002
MOST_WRITE_SECONDS = 0.2
"""Each log that was written adds to that time, up to this: its entry costs the same CPU however few frames it has, so
that a hundred of them would take a seventh of a core from the replies themselves."""

READ_SECONDS = 0.04
"""Time between two reads; one read serves all replicas of a process."""

REST_SECONDS = 1.0
"""After a failure, Redis is not used for this long."""

CHECK_SECONDS = 5.0
"""How often a process that only reads asks whether it still reads from the primary."""

COMMAND_SECONDS = 2.0
MAX_CONNECTIONS = 8
MAX_ENTRIES_PER_READ = 1_000
MAX_KEYS_PER_DELETION = 500

FAILURES = (RedisError, OSError)


def pause_after(logs: int) -> float:
    """The time until the next write, after one of so many logs."""
    return min(WRITE_SECONDS + logs * WRITE_SECONDS_PER_LOG, MOST_WRITE_SECONDS)


class RedisReplyLogs:
    """A `ReplyLogs` for any number of processes. One instance per event loop."""

    def __init__(
        self,
        url: str,
        *,
        namespace: str = "chat",
        monotonic: Callable[[], float] = time.monotonic,
        max_held_bytes: int = MAX_HELD_BYTES,
    ) -> None:
        self._namespace = namespace
        self._monotonic = monotonic
        self._max_held_bytes = max_held_bytes
        self._memory = MemoryReplyLogs(monotonic=monotonic)
        self._mirrors: dict[UUID, StreamMirror] = {}
        self._replicas = Replicas(monotonic)
        self._stand_ins: set[UUID] = set()
        self._has_news = asyncio.Event()
        self._is_wanted = asyncio.Event()
        self._is_closed = False
        self._checked_at = float("-inf")
        self._tasks = TaskOwner("reply logs")
        # The library's annotations include every answer type of any configuration.
        self._redis: Any = Redis(
            connection_pool=BlockingConnectionPool.from_url(
                url,
                max_connections=MAX_CONNECTIONS,
                # Each use has a timeout of its own: redis-py's would begin a task and a timer for each command, which
                # takes a quarter of its CPU.
                timeout=None,
                socket_timeout=None,
                socket_connect_timeout=COMMAND_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
        )

    def publish(self, log: ReplyLog) -> None:
        self._begin()
        self._memory.publish(log)
        self._replicas.drop(log.reply_id)
        mirror = StreamMirror(log, self._key(log.reply_id), self._max_held_bytes, self._monotonic)
        self._mirrors[log.reply_id] = mirror
        log.on_change = self._has_news.set
        if mirror.has_news():
            self._has_news.set()

    async def shared(self, log: ReplyLog) -> None:
        mirror = self._mirrors.get(log.reply_id)
        if mirror is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(mirror.is_readable.wait(), COMMAND_SECONDS)

    async def find(self, reply_id: UUID) -> ReplyLog | None:
        known = self._memory.own(reply_id) or self._replicas.get(reply_id)
        if known is not None and reply_id not in self._stand_ins:
            return known
        try:
            found = await self._load(reply_id)
        except FAILURES as error:
            await let_go(error, self._redis)
            logger.warning("A reply's log cannot be read while Redis is away: %s", error)
            return None
        return None if found is None else self._adopt(found)

    async def last_seq(self, reply_id: UUID) -> int | None:
        try:
            async with awake_timeout(COMMAND_SECONDS):
                newest = await self._redis.xrevrange(self._key(reply_id), count=1)
        except FAILURES as error:
            await let_go(error, self._redis)
            return None
        return seq_of(newest[0]) if newest else None

    async def end(self, reply_id: UUID, finished: ReplyFinished) -> None:
        try:
            async with awake_timeout(COMMAND_SECONDS):
                await self._redis.xadd(
                    self._key(reply_id), {"frames": encoded([finished])}, id=f"{LAST}-0", nomkstream=True
                )
        except FAILURES as error:
            if await let_go(error, self._redis) or not isinstance(error, ResponseError):
                logger.warning("The end of reply %s is told by its row only: %s", reply_id, error)
            # Any other answer of Redis: the log has an end.

    def stand_in(self, head: ReplyHead, snapshot: Snapshot) -> ReplyLog:
        log = self._replicas.get(head.reply_id)
        if log is None or log.is_finished:
            log = self._replicas.put(replica_of(head, snapshot))
            self._want()
            if snapshot.seq:
                # Its blocks come from the row: once the real log is available, readers start again with that.
                self._stand_ins.add(head.reply_id)
        return log

    def forget(self, user_id: int) -> None:
        self._memory.forget(user_id)
        self._replicas.forget(user_id)

    async def erase(self, reply_ids: Sequence[UUID]) -> None:
        try:
            for start in range(0, len(reply_ids), MAX_KEYS_PER_DELETION):
                async with awake_timeout(COMMAND_SECONDS):
                    await self._redis.unlink(*map(self._key, reply_ids[start : start + MAX_KEYS_PER_DELETION]))
        except FAILURES as error:
            await let_go(error, self._redis)
            logger.warning("Erased replies stay in Redis until they lapse: %s", error)

    def followed(self) -> Sequence[ReplyLog]:
        return self._replicas.growing()

    async def aclose(self) -> None:
        """Writes what is left to write, if Redis is reachable."""
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                await self._write()
        except (TimeoutError, *FAILURES):
            logger.warning("The last frames of replies were not written to Redis.")
        # A cancellation at the very end of a command may get lost: the loops check this flag too.
        self._is_closed = True
        await self._tasks.close()
        await self._memory.aclose()
        self._replicas.clear()
        self._mirrors.clear()
        await self._redis.connection_pool.aclose()

    def _begin(self) -> None:
        if not len(self._tasks):
            self._tasks.spawn(self._write_forever(), name="writer")
            self._tasks.spawn(self._read_forever(), name="reader")

    def _want(self) -> None:
        self._begin()
        self._is_wanted.set()

    def _key(self, reply_id: UUID) -> str:
        return f"{self._namespace}:reply:{reply_id.hex}"

    # The owner's side

    async def _write_forever(self) -> None:
        while not self._is_closed:
            await self._has_news.wait()
            self._has_news.clear()
            try:
                async with awake_timeout(COMMAND_SECONDS):
                    written = await self._write()
            except FAILURES as error:
                written = 0
                await let_go(error, self._redis)
                logger.warning("Other processes see no news of replies while Redis is away: %s", error)
                for mirror in self._mirrors.values():
                    mirror.is_unsure = True
                    mirror.is_readable.set()  # as far as it can be
                await asyncio.sleep(REST_SECONDS)
                self._has_news.set()
            await asyncio.sleep(pause_after(written))

    async def _write(self) -> int:
        """Writes everything new in all logs, in one pipeline; returns how many logs had something."""
        await self._ask_how_far([mirror for mirror in self._mirrors.values() if mirror.is_unsure])
        mirrors = [mirror for mirror in self._mirrors.values() if mirror.has_news()]
        if mirrors:
            pipeline = self._redis.pipeline(transaction=False)
            counts = [mirror.queue(pipeline) for mirror in mirrors]
            answers = await pipeline.execute(raise_on_error=False)
            for mirror, count in zip(mirrors, counts, strict=True):
                mirror.settle(answers[:count])
                del answers[:count]
                if not mirror.is_settled:
                    self._has_news.set()
        done = [reply_id for reply_id, mirror in self._mirrors.items() if mirror.is_done()]
        erased = [reply_id for reply_id in done if self._memory.is_erased(self._mirrors[reply_id].user_id)]
        for reply_id in done:
            del self._mirrors[reply_id]
        await self.erase(erased)
        return len(mirrors)

    async def _ask_how_far(self, mirrors: Iterable[StreamMirror]) -> None:
        for mirror in mirrors:
            newest = await self._redis.xrevrange(mirror.key, count=1)
            mirror.resume(seq_of(newest[0]) if newest else None)

    # The readers' side

    async def _read_forever(self) -> None:
        while not self._is_closed:
            replicas = self._replicas.growing()
            if not replicas:
                self._is_wanted.clear()
                if not len(self._replicas):
                    await self._is_wanted.wait()
                await asyncio.sleep(READ_SECONDS)
                continue
            try:
                await self._check_primary()
                await self._read(replicas)
            except FAILURES as error:
                await let_go(error, self._redis)
                logger.warning("News of other processes' replies are late while Redis is away: %s", error)
                await asyncio.sleep(REST_SECONDS)
            await asyncio.sleep(READ_SECONDS)

    async def _check_primary(self) -> None:
        """Reads go on at a server that was demoted: only a write finds out."""
        now = self._monotonic()
        if now - self._checked_at >= CHECK_SECONDS:
            async with awake_timeout(COMMAND_SECONDS):
                await write_probe(self._redis, self._namespace)
            self._checked_at = now

    async def _read(self, replicas: Sequence[ReplyLog]) -> None:
        for log in [log for log in replicas if log.reply_id in self._stand_ins]:
            found = await self._load(log.reply_id)
            if found is not None:
                self._adopt(found)
        cursors: dict[Any, Any] = {
            self._key(log.reply_id): f"{log.seq}-0" for log in replicas if log.reply_id not in self._stand_ins
        }
        if not cursors:
            await asyncio.sleep(REST_SECONDS)
            return
        by_key = {self._key(log.reply_id).encode(): log for log in replicas}
        async with awake_timeout(COMMAND_SECONDS):
            news = await self._redis.xread(cursors, count=MAX_ENTRIES_PER_READ)
        for key, entries in news or ():
            apply_entries(entries, by_key[key])

    async def _load(self, reply_id: UUID) -> ReplyLog | None:
        async with awake_timeout(COMMAND_SECONDS):
            entries: list[Entry] = await self._redis.xrange(self._key(reply_id))
        first = next((index for index, (_, fields) in enumerate(entries) if b"base" in fields), None)
        if first is None:
            return None
        base = base_in(entries[first])
        if base.head.reply_id != reply_id:
            logger.error("Redis gave reply %s for reply %s", base.head.reply_id, reply_id)
            return None
        log = replica_of(base.head, Snapshot(seq=base.seq, blocks=base.blocks))
        apply_entries(entries[first + 1 :], log)
        # Its owner may still be about to take it out of Redis.
        return None if log.is_abandoned or self._memory.is_erased(log.head.user_id) else log

    def _adopt(self, found: ReplyLog) -> ReplyLog:
        """The log that this process keeps for a found one: another call, or a stand-in, may have been first."""
        known = self._replicas.get(found.reply_id)
        was_stand_in = found.reply_id in self._stand_ins
        self._stand_ins.discard(found.reply_id)
        if known is not None and not was_stand_in:
            return known
        if known is not None:
            known.abandon()
        self._replicas.put(found)
        self._want()
        return found
