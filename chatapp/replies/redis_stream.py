"""One reply as a Redis Stream: its entries, how the owner updates it, how a reader follows it."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from chatapp.protocol import ReplyFinished
from chatapp.protocol.views import BlockView
from chatapp.replies.log import LogFrame, ReplyHead, ReplyLog, Snapshot
from chatapp.replies.logs import KEPT_SECONDS

MAX_ENTRIES = 30_000
EXPIRY_RENEWED_SECONDS = 60.0

LAST = 10**15
"""Replaces `seq` in the id of a reply's last entry."""

REFUSED_ID = "equal or smaller"
"""Redis' error for an entry whose id is not greater than the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The state of a reply up to a `seq`, as stored in an entry."""

    head: ReplyHead
    seq: int
    blocks: list[BlockView]


_encoder = msgspec.json.Encoder()
_frames_decoder = msgspec.json.Decoder(list[LogFrame])
_base_decoder = msgspec.json.Decoder(Base)
Entry = tuple[bytes, dict[bytes, bytes]]


class StreamMirror:
    """Tracks how much of one log of this process is in Redis."""

    def __init__(self, log: ReplyLog, key: str, max_held_bytes: int, monotonic: Callable[[], float]) -> None:
        self.key = key
        self.user_id = log.head.user_id
        self.is_unsure = False
        """True after a failure: some of what was sent may have arrived."""
        self.is_settled = True
        self._log = log
        self._max_held_bytes = max_held_bytes
        self._monotonic = monotonic
        self._written_seq: int | None = None
        """None if there is no stream."""
        self._queued_seq = 0
        self._bases: list[int] = []
        self._bytes_since_base = 0
        self.is_readable = asyncio.Event()
        """Set once other processes can find it."""
        self._expiry_renewed_at: float | None = None
        self._finished_at: float | None = None
        self._is_fenced = False

    def has_news(self) -> bool:
        if self._is_fenced or not self._log.is_warmth_known:
            return False
        return self._written_seq is None or self._log.seq > self._written_seq

    def is_done(self) -> bool:
        """Nothing is left to write, or Redis was unreachable for longer than it would have kept the stream."""
        if self._is_fenced:
            return True
        if not self._log.is_finished:
            return self._log.is_abandoned
        if self._finished_at is None:
            self._finished_at = self._monotonic()
        is_old = self._monotonic() - self._finished_at > KEPT_SECONDS
        return is_old or (not self.is_unsure and not self.has_news())

    def resume(self, newest_seq: int | None) -> None:
        """Continues from the end of the stream; None if there is no stream."""
        self.is_unsure = False
        if newest_seq is None:
            self._written_seq = None
        elif newest_seq >= LAST:
            self._written_seq = self._log.seq
            self._is_fenced = not self._log.is_finished
        elif self._written_seq is not None:
            self._written_seq = newest_seq

    def queue(self, pipeline: Any) -> int:
        """Adds the commands that update the stream to the pipeline, and returns their number."""
        before = len(pipeline)
        log = self._log
        cursor = 0 if self._written_seq is None else self._written_seq
        if not log.leads_on_from(cursor):
            # The last frame of an ended reply is new even if its content is not.
            cursor = log.seq - 1 if log.is_finished else log.seq
        if self._written_seq is None:
            pipeline.delete(self.key)
            self._bases.clear()
            self._expiry_renewed_at = None
        if self._written_seq is None or cursor > self._written_seq:
            self._add_base(pipeline, cursor, is_new=self._written_seq is None)
        if frames := log.frames_after(cursor):
            # The same text that sockets get.
            batch = b"[%b]" % b",".join(map(log.encoded, frames))
            self._bytes_since_base += len(batch)
            self._add(pipeline, {"frames": batch}, f"{LAST if log.is_finished else log.seq}-0")
        if self._bytes_since_base > self._max_held_bytes and not log.is_finished:
            self._add_base(pipeline, log.seq)
        self._renew_expiry(pipeline)
        self._queued_seq = log.seq
        return len(pipeline) - before

    def settle(self, answers: Sequence[Any]) -> None:
        """Processes Redis' answers to the commands."""
        self.is_settled = False
        if failure := next((answer for answer in answers if isinstance(answer, Exception)), None):
            if REFUSED_ID not in str(failure):
                raise failure
            # The entry had arrived before, or another process has ended the log.
            self.is_unsure = True
        elif None in answers:
            self._written_seq = None
        else:
            self._written_seq = self._queued_seq
            self.is_settled = True
            self.is_readable.set()

    def _add_base(self, pipeline: Any, seq: int, *, is_new: bool = False) -> None:
        base = Base(head=self._log.head, seq=seq, blocks=self._log.blocks() if seq else [])
        self._add(pipeline, {"base": _encoder.encode(base)}, f"{seq}-1", is_new=is_new)
        self._bases.append(seq)
        self._bytes_since_base = 0
        if len(self._bases) > 2:
            # Readers may be behind by one base, but not by two: trim what is before the second newest.
            pipeline.xtrim(self.key, minid=f"{self._bases[-2]}-1", approximate=False)
            del self._bases[:-2]

    def _add(self, pipeline: Any, fields: dict[str, bytes], entry_id: str, *, is_new: bool = False) -> None:
        pipeline.xadd(self.key, fields, id=entry_id, maxlen=MAX_ENTRIES, nomkstream=not is_new)

    def _renew_expiry(self, pipeline: Any) -> None:
        now, renewed_at = self._monotonic(), self._expiry_renewed_at
        if self._log.is_finished or renewed_at is None or now - renewed_at > EXPIRY_RENEWED_SECONDS:
            pipeline.pexpire(self.key, round(KEPT_SECONDS * 1000))
            self._expiry_renewed_at = now


def apply_entries(entries: Iterable[Entry], log: ReplyLog) -> None:
    """Updates a replica; if it cannot follow, it is abandoned, and its readers start again from the state."""
    for _, fields in entries:
        if log.is_finished or log.is_abandoned:
            return
        if b"base" in fields:
            base = _base_decoder.decode(fields[b"base"])
            if base.head.epoch == log.epoch and base.seq > log.seq:
                log.jump(Snapshot(seq=base.seq, blocks=base.blocks))
            continue
        for frame in _frames_decoder.decode(fields[b"frames"]):
            is_end_too_early = isinstance(frame, ReplyFinished) and frame.seq <= log.seq
            if frame.epoch != log.epoch or frame.seq > log.seq + 1 or is_end_too_early:
                log.abandon()
                return
            if frame.seq == log.seq + 1:
                log.append(frame)


def seq_of(entry: Entry) -> int:
    return int(entry[0].split(b"-")[0])


def base_in(entry: Entry) -> Base:
    return _base_decoder.decode(entry[1][b"base"])


def encoded(frames: Sequence[LogFrame]) -> bytes:
    """The encoded frames of a batch."""
    return _encoder.encode(frames)
