"""The lookup of reply logs: in the memory of this process, or through Redis in any process."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from chatapp.protocol import ReplyFinished
from chatapp.replies.log import ReplyHead, ReplyLog, Snapshot

MAX_ENDED_LOGS = 200
"""Bounds on the logs of ended replies, which are kept for readers that reconnect soon."""

MAX_ENDED_BYTES = 32 * 1024 * 1024
KEPT_SECONDS = 15 * 60
"""After this time a reader finds only the stored text."""

MAX_ERASED = 1000

IDLE_SECONDS = 10.0
"""A replica without a reader is kept up to date for this long."""


class ReplyLogs(Protocol):
    """The logs that one process can reach. `tests/chatapp/replies/logs_contract.py` is the contract."""

    def publish(self, log: ReplyLog) -> None:
        """Registers a log that this process is about to write; from now on it can be found."""

    async def shared(self, log: ReplyLog) -> None:
        """Returns when every process can find a log that was published here, at the latest after some seconds: only
        then are others told of the reply. Its warmth must be known."""

    async def find(self, reply_id: UUID) -> ReplyLog | None:
        """The log of a reply that any process is writing, or wrote a short time ago. It grows as the reply does."""

    async def last_seq(self, reply_id: UUID) -> int | None:
        """The newest `seq` of another process's reply, read again; None if it is unknown."""

    async def end(self, reply_id: UUID, finished: ReplyFinished) -> None:
        """Ends the log of a reply whose owner is dead. If the owner is still alive, its later writes are refused."""

    def stand_in(self, head: ReplyHead, snapshot: Snapshot) -> ReplyLog:
        """A log for readers of a reply whose own log is unreachable: it has the stored text, and later an end."""

    def forget(self, user_id: int) -> None:
        """Drops the logs of a person who is erased; one that is still written goes with its end."""

    async def erase(self, reply_ids: Sequence[UUID]) -> None:
        """Deletes the shared copies of these logs at once, whoever wrote them."""

    def followed(self) -> Sequence[ReplyLog]:
        """Unfinished logs of other processes' replies that have a reader here, or had one a moment ago."""

    async def aclose(self) -> None: ...


class Replicas:
    """This process's replicas of logs that other processes write; dropped some time after their last reader."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._logs: dict[UUID, ReplyLog] = {}
        self._wanted_at: dict[UUID, float] = {}

    def get(self, reply_id: UUID) -> ReplyLog | None:
        """Also None for an abandoned log."""
        log = self._logs.get(reply_id)
        if log is None or log.is_abandoned:
            return None
        self._wanted_at[reply_id] = self._monotonic()
        return log

    def put(self, log: ReplyLog) -> ReplyLog:
        self._logs[log.reply_id] = log
        self._wanted_at[log.reply_id] = self._monotonic()
        return log

    def growing(self) -> list[ReplyLog]:
        """Replicas without an end that have a reader, or are about to get one."""
        now = self._monotonic()
        for log in list(self._logs.values()):
            if log.readers:
                self._wanted_at[log.reply_id] = now
            elif now - self._wanted_at[log.reply_id] > IDLE_SECONDS:
                self.drop(log.reply_id)
        return [log for log in self._logs.values() if not log.is_finished and not log.is_abandoned]

    def forget(self, user_id: int) -> None:
        """Readers of a dropped log hear that it has no end here."""
        for log in [log for log in self._logs.values() if log.head.user_id == user_id]:
            log.abandon()
            self.drop(log.reply_id)

    def drop(self, reply_id: UUID) -> None:
        self._logs.pop(reply_id, None)
        self._wanted_at.pop(reply_id, None)

    def clear(self) -> None:
        self._logs.clear()
        self._wanted_at.clear()

    def __len__(self) -> int:
        return len(self._logs)


class MemoryReplyLogs:
    """The logs of a single process. Ended logs are kept for a while, within bounds on number, bytes and age."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._own: OrderedDict[UUID, ReplyLog] = OrderedDict()
        self._growing: dict[UUID, ReplyLog] = {}
        """Those whose end was not noticed yet."""
        self._ended_at: OrderedDict[UUID, float] = OrderedDict()
        self._ended_bytes = 0
        self._stand_ins = Replicas(monotonic)
        self._erased: OrderedDict[int, None] = OrderedDict()
        """People whose logs are kept no longer than they grow; their numbers are never given again."""

    def publish(self, log: ReplyLog) -> None:
        self._own[log.reply_id] = self._growing[log.reply_id] = log
        self._stand_ins.drop(log.reply_id)
        self.prune()

    async def shared(self, log: ReplyLog) -> None:
        """There is no other process."""

    async def find(self, reply_id: UUID) -> ReplyLog | None:
        return self.own(reply_id)

    def own(self, reply_id: UUID) -> ReplyLog | None:
        """The log of a reply that this process writes, or wrote a short time ago."""
        self.prune()
        return self._own.get(reply_id)

    async def last_seq(self, reply_id: UUID) -> int | None:
        return None

    async def end(self, reply_id: UUID, finished: ReplyFinished) -> None:
        log = self._own.get(reply_id)
        if log is not None and not log.is_finished:
            log.append(finished)

    def stand_in(self, head: ReplyHead, snapshot: Snapshot) -> ReplyLog:
        log = self._stand_ins.get(head.reply_id)
        if log is None or log.is_finished:
            return self._stand_ins.put(replica_of(head, snapshot))
        if snapshot.seq > log.seq:
            log.jump(snapshot)
        return log

    def forget(self, user_id: int) -> None:
        self._erased[user_id] = None
        while len(self._erased) > MAX_ERASED:
            self._erased.popitem(last=False)
        self._stand_ins.forget(user_id)
        self.prune()
        for reply_id in [each for each in self._ended_at if self._own[each].head.user_id == user_id]:
            self._drop(reply_id)

    def is_erased(self, user_id: int) -> bool:
        return user_id in self._erased

    async def erase(self, reply_ids: Sequence[UUID]) -> None:
        """Nothing is shared."""

    def followed(self) -> Sequence[ReplyLog]:
        return self._stand_ins.growing()

    def prune(self) -> None:
        """Drops logs beyond the bounds, but never a growing one."""
        now = self._monotonic()
        for log in [log for log in self._growing.values() if log.is_finished or log.is_abandoned]:
            del self._growing[log.reply_id]
            self._ended_at[log.reply_id] = now
            self._ended_bytes += log.held_bytes
            if self.is_erased(log.head.user_id):
                self._drop(log.reply_id)
        while self._ended_at:
            reply_id, ended_at = next(iter(self._ended_at.items()))
            is_within = len(self._ended_at) <= MAX_ENDED_LOGS and self._ended_bytes <= MAX_ENDED_BYTES
            if is_within and now - ended_at <= KEPT_SECONDS:
                return
            self._drop(reply_id)

    def _drop(self, reply_id: UUID) -> None:
        """Of an ended one."""
        self._ended_bytes -= self._own.pop(reply_id).held_bytes
        del self._ended_at[reply_id]

    async def aclose(self) -> None:
        """There is nothing to close; drops the logs."""
        self._own.clear()
        self._growing.clear()
        self._ended_at.clear()
        self._ended_bytes = 0
        self._stand_ins.clear()


def replica_of(head: ReplyHead, snapshot: Snapshot) -> ReplyLog:
    """A log as another process sees it, starting from this state."""
    log = ReplyLog(head)
    log.jump(snapshot)
    log.is_warmth_known = True
    return log
