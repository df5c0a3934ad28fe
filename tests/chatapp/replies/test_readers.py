"""What one socket reads of a running reply."""

import asyncio
from uuid import UUID

from chatapp.protocol import ServerFrame, encode
from chatapp.replies.readers import ReplyReaders
from tests.chatapp.replies.reply_frames import delta, new_log


class Page:
    def __init__(self) -> None:
        self.frames: list[ServerFrame] = []
        self.readers = ReplyReaders(self.send, self.begin_anew)

    async def send(self, frame: ServerFrame, text: str) -> None:
        assert text == encode(frame)
        self.frames.append(frame)

    async def begin_anew(self, conversation_id: UUID, reply_id: UUID) -> None:
        raise AssertionError("Nothing was lost.")


async def settle() -> None:
    """Lets every task go as far as it can."""
    for _ in range(30):
        await asyncio.sleep(0)


async def test_of_two_that_begin_at_once_on_one_socket_only_one_reads() -> None:
    page, log = Page(), new_log()
    await page.readers.resume(log, after_seq=0)
    await settle()

    await asyncio.gather(page.readers.resume(log, after_seq=0), page.readers.resume(log, after_seq=0))
    await settle()
    log.append(delta(log, "Hello"))
    await settle()

    assert [frame.seq for frame in page.frames] == [1]
    assert log.readers == 1
    await page.readers.close()
