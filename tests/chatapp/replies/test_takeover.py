"""Who is given up and who is not: looks in a hand-driven clock at rows in a real database."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError

from chatapp.models import Message, User
from chatapp.replies import rows
from chatapp.replies.log import ReplyLog
from chatapp.replies.logs import MemoryReplyLogs
from chatapp.replies.takeover import ReplyWatch
from tests.chatapp.replies.reply_frames import finished, new_log, write
from tests.factories import make_conversation, make_message
from warmcache.background.database import in_database_thread
from warmcache.testing import FakeClock

pytestmark = pytest.mark.django_db(transaction=True)

LEASE_SECONDS = 15.0


class OtherLogs(MemoryReplyLogs):
    """The logs of all processes, as this one finds them."""

    async def last_seq(self, reply_id: UUID) -> int | None:
        log = await self.find(reply_id)
        return None if log is None else log.seq


class Written:
    def __init__(self) -> None:
        self.is_stopped = False

    def stop(self) -> None:
        self.is_stopped = True


class World:
    """One watcher, its clock and what it did."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.logs = OtherLogs(monotonic=self.clock.now)
        self.written: dict[UUID, Written] = {}
        self.ended: list[UUID] = []
        self.watch = ReplyWatch(
            written=self.written,
            logs=self.logs,
            after_end=self._note_end,
            lease_seconds=LEASE_SECONDS,
            monotonic=self.clock.now,
        )

    async def _note_end(self, reply: Message) -> None:
        log = await self.logs.find(reply.pk)
        assert log is None or log.is_finished or log.epoch != reply.epoch
        self.ended.append(reply.pk)

    async def look(self, *, seconds: float = 1.0) -> None:
        """Once a second, for so long."""
        for _ in range(round(seconds)):
            self.clock.advance(1.0)
            await self.watch.look_once()

    async def begin(self, owner: str = "other", **columns: Any) -> Message:
        def stored() -> Message:
            conversation = make_conversation()
            now = datetime.now(UTC)
            reply = rows.begin(conversation, make_message(conversation), owner=owner, now=now)
            Message.objects.filter(pk=reply.pk).update(**columns)
            reply.refresh_from_db()
            return reply

        return await in_database_thread(stored)

    async def log_of(self, reply: Message, *, frames: int) -> ReplyLog:
        log = new_log(reply.pk)
        await in_database_thread(Message.objects.filter(pk=reply.pk).update, epoch=log.epoch)
        write(log, frames)
        self.logs.publish(log)
        return log


@pytest.fixture
def world() -> World:
    return World()


async def row(reply: Message) -> Message:
    return await in_database_thread(Message.objects.get, pk=reply.pk)


async def beat(reply: Message) -> None:
    await in_database_thread(rows.beat, [reply.pk], now=datetime.now(UTC))


async def test_a_reply_is_given_up_after_a_whole_lease_of_silence_and_not_before(world) -> None:
    reply = await world.begin(text="Half", log_seq=3)

    await world.look(seconds=LEASE_SECONDS)
    before = await row(reply)
    await world.look(seconds=2)
    after = await row(reply)

    assert before.status == "streaming"
    assert (after.status, after.text, after.error_code) == ("interrupted", "Half", "server_restarted")
    assert after.finished_at is not None
    assert world.ended == [reply.pk]


async def test_an_owner_that_says_it_lives_is_never_given_up(world) -> None:
    reply = await world.begin()

    for _ in range(10):
        await world.look(seconds=LEASE_SECONDS - 2)
        await beat(reply)

    assert (await row(reply)).status == "streaming"


async def test_an_owner_whose_sign_of_life_is_late_is_judged_by_its_log(world) -> None:
    reply = await world.begin()
    log = await world.log_of(reply, frames=10)

    for _ in range(8):
        await world.look(seconds=10)
        write(log, 1)
    while_writing = (await row(reply)).status
    await world.look(seconds=2 * LEASE_SECONDS + 5)

    assert while_writing == "streaming"
    assert (await row(reply)).status == "interrupted"


async def test_text_that_only_the_log_has_is_kept(world) -> None:
    reply = await world.begin(
        text="thinking", log_seq=2, content=[{"type": "thinking", "thinking": "th", "signature": "signed"}]
    )
    log = await world.log_of(reply, frames=250)

    await world.look(seconds=LEASE_SECONDS + 2)
    after = await row(reply)

    assert after.text == log.text
    assert [block["type"] for block in after.content] == ["thinking", "text", "tool_use"]
    assert after.content[0]["thinking"] == log.blocks()[0].text
    assert after.content[0]["signature"] == "signed"
    assert log.finished is not None
    assert (log.finished.status, log.finished.seq, after.log_seq) == ("interrupted", 251, 251)


async def test_text_that_is_stored_is_not_replaced_by_an_older_log(world) -> None:
    reply = await world.begin(text="All that is stored", log_seq=50)
    await world.log_of(reply, frames=10)

    await world.look(seconds=LEASE_SECONDS + 2)

    assert (await row(reply)).text == "All that is stored"


async def test_an_end_that_only_the_log_has_is_the_end(world) -> None:
    reply = await world.begin()
    log = await world.log_of(reply, frames=10)
    log.append(finished(log))

    await world.look(seconds=LEASE_SECONDS + 2)
    after = await row(reply)

    assert (after.status, after.error_code, after.text) == ("complete", "", log.text)


async def test_the_log_of_another_epoch_proves_nothing(world) -> None:
    reply = await world.begin(text="Half")
    write(log := new_log(reply.pk), 10)
    world.logs.publish(log)

    await world.look(seconds=LEASE_SECONDS + 2)

    assert (await row(reply)).text == "Half"


async def test_looks_that_fail_count_for_nothing(world, monkeypatch) -> None:
    reply = await world.begin()

    def away() -> list[Any]:
        raise OperationalError("away")

    await world.look(seconds=LEASE_SECONDS - 1)
    with monkeypatch.context() as patch:
        patch.setattr(rows, "streaming", away)
        await world.look(seconds=10)
    await world.look(seconds=LEASE_SECONDS - 1)

    assert (await row(reply)).status == "streaming"


async def test_a_watcher_that_stood_still_has_not_watched(world) -> None:
    reply = await world.begin()
    await world.look(seconds=2)

    world.clock.advance(600)
    await world.look(seconds=5)

    assert (await row(reply)).status == "streaming"


async def test_of_many_watchers_one_ends_a_reply(world) -> None:
    others = [World() for _ in range(3)]
    replies = [await world.begin() for _ in range(5)]

    for _ in range(round(LEASE_SECONDS) + 2):
        for each in (world, *others):
            await each.look()

    assert sorted(pk for each in (world, *others) for pk in each.ended) == sorted(reply.pk for reply in replies)


async def test_a_reply_is_left_alone_by_the_process_that_writes_it_and_kept_alive(world) -> None:
    reply = await world.begin(rows.PROCESS)
    world.written[reply.pk] = Written()
    watcher = World()

    for _ in range(60):
        await world.look()
        await watcher.look()

    assert (await row(reply)).status == "streaming"


async def test_a_row_that_its_process_does_not_write_is_given_up_by_that_process_too(world) -> None:
    reply = await world.begin(rows.PROCESS)

    await world.look(seconds=LEASE_SECONDS + 2)

    assert (await row(reply)).status == "interrupted"


async def test_a_stop_that_was_asked_for_elsewhere_is_obeyed_at_the_next_look(world) -> None:
    reply, other = await world.begin(), await world.begin()
    for each in (reply, other):
        world.written[each.pk] = Written()

    await in_database_thread(rows.request_stop, reply.pk, now=datetime.now(UTC))
    await world.look()

    assert world.written[reply.pk].is_stopped
    assert not world.written[other.pk].is_stopped


async def test_a_reply_whose_row_is_gone_is_stopped(world) -> None:
    reply = await world.begin()
    world.written[reply.pk] = Written()
    await world.look()

    await in_database_thread(Message.objects.all().delete)
    await world.look(seconds=3)

    assert world.written[reply.pk].is_stopped


async def test_readers_whose_log_was_cut_off_hear_of_the_end_from_the_row(world) -> None:
    reply = await world.begin()
    log = new_log(reply.pk)
    write(log, 150)
    text = log.text
    stand_in = world.logs.stand_in(log.head, log.snapshot())
    await world.look(seconds=2)
    columns: Mapping[str, Any] = {"status": "complete", "text": text, "log_seq": 151}

    await in_database_thread(rows.finish, rows.claim_of(reply), columns)
    await world.look(seconds=3)

    assert stand_in.finished is not None
    assert (stand_in.finished.status, stand_in.finished.seq) == ("complete", 151)


async def test_readers_whose_log_lacks_text_begin_anew(world) -> None:
    reply = await world.begin()
    log = new_log(reply.pk)
    stand_in = world.logs.stand_in(log.head, log.snapshot())
    await world.look(seconds=2)

    columns: Mapping[str, Any] = {"status": "complete", "text": "More than they have"}
    await in_database_thread(rows.finish, rows.claim_of(reply), columns)
    await world.look(seconds=3)

    assert stand_in.is_abandoned


async def test_at_the_start_of_the_only_process_everything_that_streams_is_ended(world) -> None:
    replies = [await world.begin() for _ in range(3)]

    await world.watch.end_all()

    assert [(await row(reply)).status for reply in replies] == ["interrupted"] * 3


async def test_a_reply_of_a_person_who_is_deactivated_is_stopped_at_the_next_look(world) -> None:
    replies = [await world.begin(owner="me") for _ in range(2)]
    world.written.update({reply.pk: Written() for reply in replies})
    gone = (await in_database_thread(rows.find, replies[0].pk)).conversation.user_id

    await world.look()
    before = [world.written[reply.pk].is_stopped for reply in replies]
    await in_database_thread(User.objects.filter(pk=gone).update, is_active=False)
    await world.look()

    assert before == [False, False]
    assert [world.written[reply.pk].is_stopped for reply in replies] == [True, False]
