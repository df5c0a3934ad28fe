"""Writes the provider's events into a reply's log as numbered frames, at once."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chatapp.conversations.storable import storable
from chatapp.protocol import ReplyBlock, ReplyDelta
from chatapp.replies.content import ReplyContent
from chatapp.replies.log import ReplyLog
from warmcache import BlockKind
from warmcache.core.ports import (
    BlockBegan,
    BlockDelta,
    BlockEnded,
    BlockExtended,
    BlockSigned,
    OtherEvent,
    StreamEnded,
    StreamEvent,
)


class ReplyWriter:
    """The only code that appends blocks and deltas to a log. `ttft_ms` counts from `received_at`; `shared_hash` names
    what stood before the reply's history."""

    def __init__(
        self,
        log: ReplyLog,
        *,
        received_at: float,
        shared_hash: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._received_at = received_at
        self._clock = clock
        self._shared_hash = shared_hash
        self._content = ReplyContent()
        self._pieces: list[str] = []
        """Deltas of the open block that are not in the log yet."""
        self._open_block: tuple[int, BlockKind] | None = None
        self._text_bytes = 0
        self.ttft_ms: int | None = None
        """Time to the first visible text; None before."""

    def take(self, events: Iterable[StreamEvent]) -> None:
        """Takes the events that arrived together: the deltas of one block among them become one frame."""
        for event in events:
            self._take_event(event)
        self._flush()

    def _take_event(self, event: StreamEvent) -> None:
        match event:
            case BlockDelta():
                self._take_delta(event)
            case BlockBegan():
                number = self._content.begin(event)
                self._append_block(number, event.kind, event.name, is_start=True)
                if (event.kind == BlockKind.TEXT or event.kind is BlockKind.THINKING) and (
                    first := event.block.get(event.kind)
                ):
                    self._take_delta(BlockDelta(index=event.index, kind=event.kind, text=str(first)))
            case BlockEnded():
                self.close()
            case BlockSigned() | BlockExtended() | OtherEvent() | StreamEnded():
                self._content.add(event)

    @property
    def content(self) -> ReplyContent:
        """What is known of the blocks beyond the log."""
        return self._content

    def begin_round(self) -> None:
        """The answer goes on in a further request."""
        self.close()
        self._content.begin_round()

    def add(self, block: Mapping[str, Any]) -> None:
        """Adds a whole block of the chat's own behind the answer: the result of a tool, a note."""
        self.close()
        self._append_block(self._content.begin_own(block), BlockKind.OTHER, "", is_start=True)
        self.close()

    @property
    def bytes_received(self) -> int:
        """Bytes of all blocks; grows with everything that the row should store."""
        return self._text_bytes + self._content.bytes_received

    def _flush(self) -> None:
        """Writes what the open block has got to the log."""
        if not self._pieces or self._open_block is None:
            return
        text = self._pieces[0] if len(self._pieces) == 1 else "".join(self._pieces)
        self._pieces.clear()
        index, kind = self._open_block
        if kind == BlockKind.OTHER:
            return
        log = self._log
        log.append(
            ReplyDelta(reply_id=log.reply_id, epoch=log.epoch, seq=log.seq + 1, kind=kind, block=index, text=text)
        )

    def close(self) -> None:
        """Ends the open block if there is one."""
        self._flush()
        if self._open_block is not None:
            self._append_block(*self._open_block, "", is_start=False)

    def content_columns(self) -> dict[str, Any]:
        """Everything in the log, as columns of the row."""
        return {
            "text": self._log.text,
            "content": self._content.api_blocks(self._log.blocks()),
            "rounds": self._content.rounds(),
            "shared_hash": self._shared_hash,
            "log_seq": self._log.seq,
        }

    def _take_delta(self, event: BlockDelta) -> None:
        text = storable(event.text)
        self._text_bytes += len(text) if text.isascii() else len(text.encode())
        self._pieces.append(text)
        if event.kind == BlockKind.TEXT and self.ttft_ms is None:
            self.ttft_ms = round((self._clock() - self._received_at) * 1000)

    def _append_block(self, index: int, kind: BlockKind, name: str, *, is_start: bool) -> None:
        log = self._log
        self._open_block = (index, kind) if is_start else None
        log.append(
            ReplyBlock(
                reply_id=log.reply_id,
                epoch=log.epoch,
                seq=log.seq + 1,
                block=index,
                kind=kind,
                name=name,
                state="start" if is_start else "stop",
                data=None if is_start else self._content.end(index),
            )
        )
