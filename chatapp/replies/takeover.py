"""Heartbeat and takeover: once a second, a process maintains its own replies and ends the replies of dead owners.

An owner writes a heartbeat into its replies' rows every 5 s; a checkpoint counts as one too. Every process watches the
rows of the others. It compares no clocks: a reply is taken over after it was watched for a whole lease, look by look,
and neither its row nor its log changed. Failed looks do not count, so that a database outage causes no takeover. Time
in which the watcher itself stood still does not count either.

All processes watch, but only one ends the reply: its write names the last heartbeat that was seen (`reply_rows`).
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from django.utils import timezone

from chatapp.conversations import reply_states
from chatapp.conversations.reply_states import Cause
from chatapp.models import Message
from chatapp.protocol import ReplyFinished
from chatapp.replies import ends
from chatapp.replies import rows as reply_rows
from chatapp.replies.content import api_blocks_of
from chatapp.replies.log import ReplyLog
from chatapp.replies.logs import ReplyLogs
from chatapp.replies.rows import Streaming
from warmcache import RequestWarmth
from warmcache.background.database import in_database_thread

logger = logging.getLogger(__name__)

BEATS_PER_LEASE = 3
LOOK_SECONDS = 1.0

DAMAGED_LOG = (ValueError, LookupError)


class Writing(Protocol):
    """A reply that this process writes."""

    def stop(self) -> None: ...


@dataclass(slots=True, kw_only=True)
class _Silence:
    """How long a row was seen without a change."""

    beat_at: datetime | None
    seconds: float = 0.0
    log_seq: int | None = None
    """The newest `seq` of its log after half of the lease."""


class ReplyWatch:
    """One per process. `written` are the replies that it writes now. `after_end` is called for each reply that it ended
    for a dead owner."""

    def __init__(
        self,
        *,
        written: Mapping[UUID, Writing],
        logs: ReplyLogs,
        after_end: Callable[[Message], Awaitable[None]],
        lease_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._written = written
        self._logs = logs
        self._after_end = after_end
        self._lease_seconds = lease_seconds
        self._monotonic = monotonic
        self._silences: dict[UUID, _Silence] = {}
        self._missing: set[UUID] = set()
        self._looked_at: float | None = None
        self._beaten_at: float | None = None
        self._is_away = False
        self._has_news = asyncio.Event()

    def look_soon(self) -> None:
        """Does not wait for the next look: a row may say that its reply must stop."""
        self._has_news.set()

    async def look_forever(self) -> None:
        while True:
            self._has_news.clear()
            await self.look_once()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(LOOK_SECONDS, self._lease_seconds / 10)):
                    await self._has_news.wait()

    async def look_once(self) -> None:
        """Never raises: a failed look is repeated at the next interval."""
        try:
            await self._look()
        except Exception as error:
            self._silences.clear()
            self._looked_at = None
            if not self._is_away:
                logger.warning("Nobody watches over replies until the database answers: %s", error)
            self._is_away = True
        else:
            self._is_away = False

    async def end_all(self) -> None:
        """At the start of the only process: ends all streaming replies, since the process that wrote them is dead."""
        for seen in await in_database_thread(reply_rows.streaming):
            if seen.claim.reply_id not in self._written:
                await self._end(seen)

    async def _look(self) -> None:
        await self._beat()
        rows = {seen.claim.reply_id: seen for seen in await in_database_thread(reply_rows.streaming)}
        self._obey(rows)
        await self._judge([seen for reply_id, seen in rows.items() if reply_id not in self._written])
        await self._end_replicas(rows)
        self._missing = {*self._written, *(log.reply_id for log in self._logs.followed())} - rows.keys()

    async def _beat(self) -> None:
        now = self._monotonic()
        if self._written and (
            self._beaten_at is None or now - self._beaten_at >= self._lease_seconds / BEATS_PER_LEASE - LOOK_SECONDS / 2
        ):
            await in_database_thread(reply_rows.beat, list(self._written), now=timezone.now())
            self._beaten_at = now

    def _obey(self, rows: Mapping[UUID, Streaming]) -> None:
        """Stops replies that must stop, and replies whose rows were missing at two looks."""
        for reply_id, writing in list(self._written.items()):
            seen = rows.get(reply_id)
            if (seen is not None and seen.must_stop) or (seen is None and reply_id in self._missing):
                writing.stop()

    async def _judge(self, others: list[Streaming]) -> None:
        now = self._monotonic()
        # A watcher that stood still has not watched.
        passed = 0.0 if self._looked_at is None else min(now - self._looked_at, 2 * LOOK_SECONDS)
        self._looked_at = now
        before, self._silences = self._silences, {}
        for seen in others:
            silence = before.get(seen.claim.reply_id)
            if silence is None or silence.beat_at != seen.beat_at:
                silence = _Silence(beat_at=seen.beat_at)
            else:
                silence.seconds += passed
            if not await self._is_over(seen, silence):
                self._silences[seen.claim.reply_id] = silence
            else:
                await self._end(seen)

    async def _is_over(self, seen: Streaming, silence: _Silence) -> bool:
        """Whether nothing changed for a whole lease; reads the log only for a suspected row."""
        if silence.seconds < self._lease_seconds / 2:
            return False
        if silence.log_seq is None:
            silence.log_seq = await self._logs.last_seq(seen.claim.reply_id) or 0
        if silence.seconds < self._lease_seconds:
            return False
        log_seq = await self._logs.last_seq(seen.claim.reply_id) or 0
        if silence.log_seq < log_seq and not await self._has_ended(seen):
            silence.seconds, silence.log_seq = 0.0, None
            return False
        return True

    async def _has_ended(self, seen: Streaming) -> bool:
        log = await self._log_of(seen)
        return log is not None and log.is_finished

    async def _log_of(self, seen: Streaming) -> ReplyLog | None:
        try:
            log = await self._logs.find(seen.claim.reply_id)
        except DAMAGED_LOG:
            logger.exception("The log of reply %s cannot be read", seen.claim.reply_id)
            return None
        return log if log is not None and log.epoch == seen.claim.epoch else None

    async def _end(self, seen: Streaming) -> None:
        """Ends the reply with everything known of it, unless another process does."""
        reply = await in_database_thread(reply_rows.find, seen.claim.reply_id)
        if reply is None:
            return
        log = await self._log_of(seen)
        finished = _end_of(reply, log)
        content = _content_columns(reply, log)
        reservation = reply_rows.reservation_of(reply, reply.conversation.user_id)
        has_ended = await in_database_thread(
            ends.store_for_dead, seen, finished, content, request_id=reply.request_id, reservation=reservation
        )
        if not has_ended:
            return
        logger.warning("Reply %s was given up by its process; it is %s", reply.pk, finished.status)
        await self._logs.end(reply.pk, finished)
        await self._after_end(reply)

    async def _end_replicas(self, rows: Mapping[UUID, Streaming]) -> None:
        """Ends replicas that were cut off from their writer, so that their readers learn of the end."""
        for log in self._logs.followed():
            if log.reply_id in rows or log.reply_id not in self._missing:
                continue
            reply = await in_database_thread(reply_rows.find, log.reply_id)
            if log.is_finished:
                continue
            if reply is not None and reply.text == log.text:
                log.append(reply_rows.finished_frame(reply, epoch=log.epoch, seq=log.seq + 1))
            else:
                log.abandon()


def _end_of(reply: Message, log: ReplyLog | None) -> ReplyFinished:
    """The end that the owner wrote to the log but not to the row; otherwise the reply is interrupted."""
    if log is not None and log.finished is not None:
        return log.finished
    return ReplyFinished(
        reply_id=reply.pk,
        epoch=reply.epoch,
        seq=max(reply.log_seq, log.seq if log else 0) + 1,
        status=reply_states.status_after(Cause.OWNER_DIED),
        stop_reason=None,
        stop_details=None,
        error=reply_states.error_of(Cause.OWNER_DIED),
        usage=None,
        warmth=log.head.warmth if log else RequestWarmth.COLD,
        ttft_ms=None,
        cost_usd=None,
        warm_up_id=None,
    )


def _content_columns(reply: Message, log: ReplyLog | None) -> dict[str, Any]:
    """The log's content if it is newer than the stored one."""
    if log is None or log.seq <= reply.log_seq:
        return {}
    return {"text": log.text, "content": api_blocks_of(log.blocks(), stored=reply.content)}
