"""What one socket reads of a running reply."""

import asyncio
from uuid import UUID

import pytest

from chatapp.protocol import ServerFrame, encode_bytes
from chatapp.replies import log as reply_log
from chatapp.replies.log import LogFrame, ReplyLog
from chatapp.replies.readers import ReplyReaders
from tests.chatapp.replies.reply_frames import delta, finished, new_log, write


class Page:
    def __init__(self) -> None:
        self.frames: list[ServerFrame] = []
        self.readers = ReplyReaders(self.send, self.send_now, self.begin_anew)
        self.can_send_now = True
        self.sent_now = 0
        self.texts: list[bytes] = []

    async def send(self, frame: ServerFrame, text: bytes) -> None:
        assert text == encode_bytes(frame)
        self.frames.append(frame)
        self.texts.append(text)

    def send_now(self, frame: LogFrame, text: bytes) -> bool:
        if self.can_send_now:
            self.sent_now += 1
            self.frames.append(frame)
            self.texts.append(text)
        return self.can_send_now

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


async def test_a_reader_that_keeps_pace_gets_each_frame_while_it_is_appended() -> None:
    page, log = Page(), new_log()
    await page.readers.resume(log, after_seq=0)
    await settle()

    write(log, 5)
    without_a_task = [frame.seq for frame in page.frames]

    log.append(finished(log))
    await settle()
    assert without_a_task == [1, 2, 3, 4, 5]
    assert (page.sent_now, log.readers, page.readers.are_reading) == (6, 0, False)


async def test_a_frame_is_encoded_once_however_many_sockets_read(monkeypatch: pytest.MonkeyPatch) -> None:
    encodings: list[int] = []
    monkeypatch.setattr(reply_log, "encode_bytes", lambda frame: encodings.append(frame.seq) or encode_bytes(frame))
    pages, log = [Page() for _ in range(20)], new_log()
    for page in pages:
        await page.readers.resume(log, after_seq=0)
    await settle()

    write(log, 5)

    assert encodings == [1, 2, 3, 4, 5]
    assert all(page.texts[4] is pages[0].texts[4] for page in pages)
    for page in pages:
        await page.readers.close()


async def test_a_page_that_has_to_be_waited_for_gets_every_frame_in_order_all_the_same() -> None:
    page, log = Page(), new_log()
    await page.readers.resume(log, after_seq=0)
    await settle()

    for can_send_now in (True, False, True, False, False, True, True):
        page.can_send_now = can_send_now
        write(log, 2)
        if can_send_now:
            await settle()
    await settle()
    log.append(finished(log))
    await settle()

    assert [frame.seq for frame in page.frames] == list(range(1, 16))
    assert not page.readers.are_reading


async def test_one_reader_s_failure_stops_neither_the_reply_nor_the_others() -> None:
    class Broken(Page):
        def send_now(self, frame: LogFrame, text: bytes) -> bool:
            raise RuntimeError("broken")

    broken, page, log = Broken(), Page(), new_log()
    for one in (broken, page):
        await one.readers.resume(log, after_seq=0)
    await settle()

    write(log, 2)
    await settle()

    assert [frame.seq for frame in page.frames] == [1, 2]
    assert (log.readers, broken.readers.are_reading) == (1, False)
    await page.readers.close()


async def test_nothing_more_reaches_a_socket_whose_reader_is_being_ended() -> None:
    page, log = Page(), new_log()
    await page.readers.resume(log, after_seq=0)
    await settle()
    write(log, 1)

    again = asyncio.create_task(page.readers.resume(log, after_seq=1))
    await asyncio.sleep(0)
    write(log, 1)
    await again
    await settle()

    assert [frame.seq for frame in page.frames] == [1, 2]
    await page.readers.close()


def test_an_append_without_readers_encodes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReplyLog, "encoded", lambda log, frame: pytest.fail("Nobody reads it."))

    write(new_log(), 3)
