"""The frames of one reply, in order, for any number of readers with a cursor. In memory, for one process."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

from chatapp.protocol import BlockView, ReplyBlock, ReplyDelta, ReplyFinished

LogFrame = ReplyDelta | ReplyBlock | ReplyFinished


class ReplyLog:
    """`seq` counts frames from 1 within an `epoch`; an epoch ends with the process that writes it."""

    def __init__(self, reply_id: UUID) -> None:
        self.reply_id = reply_id
        self.epoch = uuid4().hex[:12]
        self._frames: list[LogFrame] = []
        self._has_grown = asyncio.Event()

    @property
    def seq(self) -> int:
        """Of the last frame; 0 before the first."""
        return len(self._frames)

    @property
    def is_finished(self) -> bool:
        return bool(self._frames) and isinstance(self._frames[-1], ReplyFinished)

    def append(self, frame: LogFrame) -> None:
        """Takes the next frame; its `seq` must be `self.seq + 1`."""
        if frame.seq != self.seq + 1 or self.is_finished:
            raise ValueError(f"Frame {frame.seq} does not follow frame {self.seq}.")
        self._frames.append(frame)
        self._has_grown.set()
        self._has_grown = asyncio.Event()

    async def follow(self, after_seq: int) -> AsyncIterator[LogFrame]:
        """Every frame behind the cursor, then each new one as it comes, up to the last."""
        position = after_seq
        while True:
            while position < self.seq:
                frame = self._frames[position]
                position += 1
                yield frame
                if isinstance(frame, ReplyFinished):
                    return
            if self.is_finished:
                return
            await self._has_grown.wait()

    def blocks(self) -> list[BlockView]:
        """The content so far, one view per block."""
        blocks: dict[int, BlockView] = {}
        texts: dict[int, list[str]] = {}
        for frame in self._frames:
            if isinstance(frame, ReplyDelta):
                texts.setdefault(frame.block, []).append(frame.text)
            elif isinstance(frame, ReplyBlock):
                name = frame.name or (blocks[frame.block].name if frame.block in blocks else "")
                blocks[frame.block] = BlockView(
                    block=frame.block, kind=frame.kind, name=name, text="", state=frame.state
                )
        return [
            BlockView(block=b.block, kind=b.kind, name=b.name, text="".join(texts.get(b.block, [])), state=b.state)
            for b in blocks.values()
        ]
