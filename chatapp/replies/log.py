"""The frames of one reply, in order, for any number of readers with a cursor.

A log always knows the whole reply so far. It keeps only the newest frames, within a bound: a reader whose cursor is
among them gets exactly the missed frames; any other must start again from the state of the reply.
"""

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
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


@dataclass(slots=True, kw_only=True)
class _Run:
    """Held deltas of one block that follow one another: their texts lie in the block's own, one behind the other."""

    seq: int
    """That of the first one."""
    kind: BlockKind
    block: int
    start: int
    """Where its text begins in the text of the block."""


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
        self.is_warmth_known = False
        self.finished: ReplyFinished | None = None
        self.is_abandoned = False
        self.readers = 0
        """The number of readers that follow it now."""
        self.on_change: Callable[[], None] = lambda: None
        """Called after each change; used to mirror the log to other processes."""
        self._max_held_bytes = max_held_bytes
        self._held: list[ReplyBlock | ReplyFinished | int] = []
        """Of a delta only its length: its text is in `_texts` already, and few are read again as frames."""
        self._held_bytes = 0
        self._runs: list[_Run] = []
        self._blocks: dict[int, BlockView] = {}
        self._texts: dict[int, list[str]] = {}
        self._encoded: tuple[int, bytes] = (0, b"")
        """The frame that was encoded last: all readers that keep pace take it while it is appended."""
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
        """Sets the expected state of the cache; the first call counts."""
        if not self.is_warmth_known:
            self.head = replace(self.head, warmth=warmth)
            self.is_warmth_known = True
            self._wake()

    async def warmth_known(self) -> None:
        """Returns once the expected state of the cache is known."""
        while not self.is_warmth_known:
            await self._wait(self.seq, None)

    def append(self, frame: LogFrame) -> None:
        """Appends the next frame; its `seq` must be `self.seq + 1`."""
        if frame.seq != self.seq + 1 or self.is_finished:
            raise ValueError(f"Frame {frame.seq} does not follow frame {self.seq}.")
        self.seq = frame.seq
        self._hold(frame)
        self._apply(frame)
        self._hand_out(frame)
        self.on_change()

    def jump(self, snapshot: Snapshot) -> None:
        """Moves to a later state of the reply without the frames in between; readers behind it get a `LogGap`."""
        if snapshot.seq < self.seq or self.is_finished:
            raise ValueError(f"Frame {snapshot.seq} lies before frame {self.seq}.")
        self.seq = snapshot.seq
        self._held.clear()
        self._runs.clear()
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
        return list(self._frames_from(seq + 1))

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
        seq, text = self._encoded
        if seq != frame.seq:
            text = encode_bytes(frame)
            self._encoded = (frame.seq, text)
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
        """Before its text is added to the block's."""
        if isinstance(frame, ReplyDelta):
            run = self._runs[-1] if self._runs else None
            if run is None or run.block != frame.block or run.kind != frame.kind:
                start = len(self._text_of(frame.block))
                self._runs.append(_Run(seq=frame.seq, kind=frame.kind, block=frame.block, start=start))
        held = len(frame.text) if isinstance(frame, ReplyDelta) else frame
        self._held.append(held)
        self._held_bytes += _size_of(held)
        while self._held_bytes > self._max_held_bytes and len(self._held) > 1:
            self._let_go()

    def _let_go(self) -> None:
        """Of the oldest frame."""
        held = self._held.pop(0)
        self._held_bytes -= _size_of(held)
        if isinstance(held, int):
            self._runs[0].seq = self._first_held
            self._runs[0].start += held
        while len(self._runs) > 1 and self._runs[1].seq <= self._first_held:
            del self._runs[0]

    @property
    def _first_held(self) -> int:
        return self.seq - len(self._held) + 1

    def _frames_from(self, first: int) -> Iterator[LogFrame]:
        """The held frames from this one on."""
        skipped = first - self._first_held
        place = max(0, bisect_right(self._runs, first, key=attrgetter("seq")) - 1)
        text, position = "", 0
        if self._runs:
            run = self._runs[place]
            before = self._held[max(0, run.seq - self._first_held) : skipped]
            text = self._text_from(run.block, run.start + sum(held for held in before if isinstance(held, int)))
        for seq, held in enumerate(self._held[skipped:], first):
            if not isinstance(held, int):
                yield held
                continue
            if place + 1 < len(self._runs) and self._runs[place + 1].seq <= seq:
                place += 1
                text, position = self._text_from(self._runs[place].block, self._runs[place].start), 0
            run, end = self._runs[place], position + held
            yield ReplyDelta(
                reply_id=self.reply_id, epoch=self.epoch, seq=seq, kind=run.kind, block=run.block,
                text=text[position:end],
            )  # fmt: skip
            position = end

    def _text_from(self, block: int, start: int) -> str:
        """The newest text of a block, without joining what comes before."""
        pieces = self._texts.get(block, [])
        for number, piece in enumerate(pieces):
            if start < len(piece):
                return "".join((piece[start:], *pieces[number + 1 :]))
            start -= len(piece)
        return ""

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


def _size_of(held: ReplyBlock | ReplyFinished | int) -> int:
    # For a bound, characters are close enough to bytes.
    match held:
        case int():
            return FRAME_OVERHEAD_BYTES + held
        case ReplyBlock() if held.data is not None:
            return FRAME_OVERHEAD_BYTES + len(str(held.data))
        case _:
            return FRAME_OVERHEAD_BYTES
