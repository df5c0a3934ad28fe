"""The frames of one reply, in order, for any number of readers with a cursor.

A log always knows the whole reply so far. It keeps only the newest frames, within a bound: a reader whose cursor is
among them gets exactly the missed frames; any other must start again from the state of the reply.
"""

import asyncio
import contextlib
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from uuid import UUID, uuid4

from chatapp.conversations import reply_states
from chatapp.protocol import ReplyBlock, ReplyDelta, ReplyFinished, encode_bytes
from chatapp.protocol.views import BlockView
from warmcache import BlockKind, RequestWarmth

LogFrame = ReplyDelta | ReplyBlock | ReplyFinished
Take = Callable[[LogFrame], bool]
"""Takes a frame at once, or refuses it, because something has to be waited for first."""

MAX_HELD_BYTES = 512 * 1024
"""Bytes of frames in one log: some minutes of a reply. Its whole text is kept separately."""

MAX_ENCODED = 16
"""The number of newest frames whose encoded text is kept: readers that keep pace share one encoding per frame."""

FRAME_OVERHEAD_BYTES = 64
"""Added to a frame's text size, so that many small frames are bounded too."""


class LogGap(Exception):
    """The log cannot continue from this cursor: the reader must take the whole state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyHead:
    """What is known of a reply before its first text. `warmth` is the expected state of the cache."""

    reply_id: UUID
    epoch: str
    parent_id: UUID
    conversation_id: UUID
    user_id: int
    model: str
    warmth: RequestWarmth = RequestWarmth.COLD


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The whole content of a reply up to and including frame `seq`."""

    seq: int
    blocks: Sequence[BlockView]


class _Waiting:
    """A reader that has every frame so far."""

    __slots__ = ("_take", "seq", "woken")

    def __init__(self, seq: int, take: Take | None) -> None:
        self.seq = seq
        """The last frame that it has."""
        self.woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._take = take

    def took(self, frame: LogFrame) -> bool:
        """A reader's failure is its own: the reply goes on, and the reader's task raises it."""
        if self._take is None or self.woken.done():  # done: its task is cancelled
            return False
        try:
            is_taken = self._take(frame)
        except Exception as error:
            self.woken.set_exception(error)
            return False
        if is_taken:
            self.seq = frame.seq
        return is_taken

    def wake(self) -> None:
        if not self.woken.done():
            self.woken.set_result(None)


def new_epoch() -> str:
    return uuid4().hex[:12]


class ReplyLog:
    """`seq` counts frames from 1 within an `epoch`; an epoch ends with the process that writes it."""

    def __init__(self, head: ReplyHead, *, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self.head = head
        self.seq = 0
        """The number of the last frame; 0 before the first."""
        self.warmth_is_known = asyncio.Event()
        self.finished: ReplyFinished | None = None
        self.is_abandoned = False
        self.readers = 0
        """The number of readers that follow it now."""
        self.on_change: Callable[[], None] = lambda: None
        """Called after each change; used to mirror the log to other processes."""
        self._max_held_bytes = max_held_bytes
        # Of a delta only the text: as a frame it takes three times as much, and few are read again.
        self._held: deque[ReplyBlock | ReplyFinished | str] = deque()
        self._held_bytes = 0
        self._runs: list[tuple[int, BlockKind, int]] = []
        """From which `seq` on the held deltas are of which kind and block."""
        self._blocks: dict[int, BlockView] = {}
        self._texts: dict[int, list[str]] = {}
        self._encoded: dict[int, bytes] = {}
        self._waiting: dict[_Waiting, None] = {}

    @property
    def reply_id(self) -> UUID:
        return self.head.reply_id

    @property
    def epoch(self) -> str:
        return self.head.epoch

    @property
    def text(self) -> str:
        """The text that a person reads: neighbouring text blocks are one text, cited passages for example."""
        runs = groupby(self._blocks.values(), key=lambda block: block.kind == BlockKind.TEXT)
        texts = ["".join(self._text_of(block.block) for block in run) for is_text, run in runs if is_text]
        return "\n\n".join([text for text in texts if text.strip()] or texts)

    @property
    def is_finished(self) -> bool:
        return self.finished is not None

    @property
    def held_bytes(self) -> int:
        """How much its frames count towards the bound."""
        return self._held_bytes

    def expect(self, warmth: RequestWarmth) -> None:
        """Sets the expected state of the cache; the last call before `warmth_is_known` counts."""
        if not self.warmth_is_known.is_set():
            self.head = replace(self.head, warmth=warmth)
            self.warmth_is_known.set()
            self.on_change()

    def append(self, frame: LogFrame) -> None:
        """Appends the next frame; its `seq` must be `self.seq + 1`."""
        if frame.seq != self.seq + 1 or self.is_finished:
            raise ValueError(f"Frame {frame.seq} does not follow frame {self.seq}.")
        self.seq = frame.seq
        self._apply(frame)
        self._encoded.pop(self.seq - MAX_ENCODED, None)
        self._hold(frame)
        self._hand_out(frame)
        self.on_change()

    def jump(self, snapshot: Snapshot) -> None:
        """Moves to a later state of the reply without the frames in between; readers behind it get a `LogGap`."""
        if snapshot.seq < self.seq or self.is_finished:
            raise ValueError(f"Frame {snapshot.seq} lies before frame {self.seq}.")
        self.seq = snapshot.seq
        self._held.clear()
        self._runs.clear()
        self._encoded.clear()
        self._held_bytes = 0
        self._blocks = {block.block: block for block in snapshot.blocks}
        self._texts = {block.block: [block.text] for block in snapshot.blocks}
        self._wake()

    def abandon(self) -> None:
        """Closes the log without an end, because the end is stored elsewhere: every reader gets a `LogGap`."""
        self.is_abandoned = True
        self._wake()

    def leads_on_from(self, seq: int) -> bool:
        """Whether the log still has every frame after this one."""
        return not self.is_abandoned and self.seq - len(self._held) <= seq <= self.seq

    def frames_after(self, seq: int) -> list[LogFrame]:
        """Raises `LogGap` if some of them are no longer kept."""
        if not self.leads_on_from(seq):
            raise LogGap
        return [self._frame(number) for number in range(seq + 1, self.seq + 1)]

    async def follow(self, after_seq: int, take: Take | None = None) -> AsyncGenerator[LogFrame, None]:
        """Yields every frame after the cursor, then each new one as it comes, up to the last. Raises `LogGap`.

        Frames that `take` takes are not yielded. A reader that has caught up takes them while they are appended, so
        that no task has to run for them.
        """
        position = after_seq
        self.readers += 1
        try:
            while True:
                for frame in self.frames_after(position):
                    position = frame.seq
                    if take is None or not take(frame):
                        yield frame
                    if self.is_abandoned:
                        break
                if self.is_finished and position == self.seq:
                    return
                if position == self.seq and not self.is_abandoned:
                    position = await self._wait(position, take)
        finally:
            self.readers -= 1

    async def reach(self, seq: int, *, timeout_seconds: float) -> None:
        """Returns once the log has reached `seq`, has ended, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                while self.seq < seq and not self.is_finished and not self.is_abandoned:
                    await self._wait(self.seq, None)

    def encoded(self, frame: LogFrame) -> bytes:
        """One of its frames as the text of a WebSocket frame, in UTF-8."""
        text = self._encoded.get(frame.seq)
        if text is None:
            text = encode_bytes(frame)
            if frame.seq > self.seq - MAX_ENCODED:
                self._encoded[frame.seq] = text
        return text

    def snapshot(self) -> Snapshot:
        return Snapshot(seq=self.seq, blocks=self.blocks())

    def blocks(self) -> list[BlockView]:
        """The content so far, one view per block."""
        return [
            BlockView(block=b.block, kind=b.kind, name=b.name, text=self._text_of(b.block), state=b.state, data=b.data)
            for b in self._blocks.values()
        ]

    def _text_of(self, block: int) -> str:
        pieces = self._texts.setdefault(block, [])
        if len(pieces) > 1:
            pieces[:] = ["".join(pieces)]
        return pieces[0] if pieces else ""

    def _hold(self, frame: LogFrame) -> None:
        held = frame.text if isinstance(frame, ReplyDelta) else frame
        if isinstance(frame, ReplyDelta) and (not self._runs or self._runs[-1][1:] != (frame.kind, frame.block)):
            self._runs.append((frame.seq, frame.kind, frame.block))
        self._held.append(held)
        self._held_bytes += _size_of(held)
        while self._held_bytes > self._max_held_bytes and len(self._held) > 1:
            self._held_bytes -= _size_of(self._held.popleft())
        while len(self._runs) > 1 and self._runs[1][0] <= self._first_held:
            del self._runs[0]

    @property
    def _first_held(self) -> int:
        return self.seq - len(self._held) + 1

    def _frame(self, seq: int) -> LogFrame:
        held = self._held[seq - self._first_held]
        if not isinstance(held, str):
            return held
        _, kind, block = self._runs[bisect_right(self._runs, seq, key=itemgetter(0)) - 1]
        return ReplyDelta(reply_id=self.reply_id, epoch=self.epoch, seq=seq, kind=kind, block=block, text=held)

    def _apply(self, frame: LogFrame) -> None:
        match frame:
            case ReplyDelta():
                self._texts.setdefault(frame.block, []).append(frame.text)
            case ReplyBlock():
                known = self._blocks.get(frame.block)
                name = frame.name or (known.name if known else "")
                self._blocks[frame.block] = BlockView(
                    block=frame.block, kind=frame.kind, name=name, text="", state=frame.state, data=frame.data
                )
            case ReplyFinished():
                reply_states.check_end(frame.status)
                self.finished = frame

    async def _wait(self, seq: int, take: Take | None) -> int:
        """Returns after a change that `take` did not take, with the number of the last frame that it took."""
        waiting = _Waiting(seq, take)
        self._waiting[waiting] = None
        try:
            await waiting.woken
        finally:
            self._waiting.pop(waiting, None)
        return waiting.seq

    def _hand_out(self, frame: LogFrame) -> None:
        for waiting in list(self._waiting):
            if not waiting.took(frame) or self.is_finished:
                self._waiting.pop(waiting, None)
                waiting.wake()

    def _wake(self) -> None:
        for waiting in self._waiting:
            waiting.wake()
        self._waiting.clear()
        self.on_change()


def _size_of(held: ReplyBlock | ReplyFinished | str) -> int:
    # For a bound, characters are close enough to bytes.
    match held:
        case str():
            return FRAME_OVERHEAD_BYTES + len(held)
        case ReplyBlock() if held.data is not None:
            return FRAME_OVERHEAD_BYTES + len(str(held.data))
        case _:
            return FRAME_OVERHEAD_BYTES
