"""The life of a reply's row as a state machine: any owners, watchers and clocks, in any order."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from chatapp.conversations import reply_states
from chatapp.models import Conversation, Message
from chatapp.replies import rows as reply_rows
from chatapp.replies.rows import Claim, Progress, Streaming
from tests.chatapp.replies.reply_frames import finished, new_log
from tests.factories import make_conversation, make_message

pytestmark = pytest.mark.django_db(transaction=True)

OWNERS = ("a", "b", "c")


@dataclass(slots=True)
class Known:
    """What the row of one reply must be."""

    claim: Claim
    status: str = "streaming"
    text: str = ""
    beat_at: datetime | None = None
    history: list[str] = field(default_factory=list)


class LifeOfReplies(RuleBasedStateMachine):
    """Owners write, watchers look and act later on what they saw; after each step the rows are held to a model."""

    replies = Bundle("replies")
    sightings = Bundle("sightings")

    def __init__(self) -> None:
        super().__init__()
        Conversation.objects.all().delete()
        self.known: dict[UUID, Known] = {}
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def tick(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now

    @rule(target=replies, owner=st.sampled_from(OWNERS))
    def begin(self, owner: str) -> UUID:
        conversation = make_conversation()
        question = make_message(conversation)
        now = self.tick()
        reply = reply_rows.begin(conversation, question, owner=owner, now=now)
        self.known[reply.pk] = Known(claim=reply_rows.claim_of(reply), beat_at=now)
        return reply.pk

    @rule(reply_id=replies)
    def owner_writes(self, reply_id: UUID) -> None:
        known, now = self.known[reply_id], self.tick()
        text = known.text + "more "

        is_ours = reply_rows.checkpoint(known.claim, {"text": text, "log_seq": len(text)}, now=now)

        assert is_ours is (known.status == "streaming")
        if is_ours:
            known.text, known.beat_at = text, now

    @rule(owner=st.sampled_from(OWNERS))
    def owner_writes_all(self, owner: str) -> None:
        written = [known for known in self.known.values() if known.claim.owner == owner]
        now = self.tick()
        texts = {known.claim: known.text + "more " for known in written}

        outcomes = reply_rows.checkpoint_all(
            [Progress(claim=claim, columns={"text": text, "log_seq": len(text)}) for claim, text in texts.items()],
            now=now,
        )

        assert outcomes == {known.claim.reply_id: known.status == "streaming" for known in written}
        for known in written:
            if known.status == "streaming":
                known.text, known.beat_at = texts[known.claim], now

    @rule(owner=st.sampled_from(OWNERS))
    def owner_beats(self, owner: str) -> None:
        written = [k for k in self.known.values() if k.claim.owner == owner]
        now = self.tick()

        reply_rows.beat([known.claim.reply_id for known in written], now=now)

        for known in written:
            if known.status == "streaming":
                known.beat_at = now

    @rule(reply_id=replies, status=st.sampled_from(sorted(reply_states.ENDS)))
    def owner_finishes(self, reply_id: UUID, status: str) -> None:
        known = self.known[reply_id]

        is_ours = reply_rows.finish(known.claim, {"status": status, "text": known.text + "end"})

        assert is_ours is (known.status == "streaming")
        if is_ours:
            known.status, known.text = status, known.text + "end"
            known.history.append(status)

    @rule(reply_id=replies, owner=st.sampled_from((*OWNERS, "nobody")))
    def somebody_who_does_not_own_it_writes(self, reply_id: UUID, owner: str) -> None:
        known = self.known[reply_id]
        strangers = [Claim(reply_id=reply_id, owner=known.claim.owner, epoch="another epoch"[:12])]
        if owner != known.claim.owner:
            strangers.append(Claim(reply_id=reply_id, owner=owner, epoch=known.claim.epoch))

        for claim in strangers:
            assert not reply_rows.checkpoint(claim, {"text": "foreign"}, now=self.tick())
            assert not reply_rows.finish(claim, {"status": "complete", "text": "foreign"})

    @rule(target=sightings)
    def watcher_looks(self) -> list[Streaming]:
        seen = reply_rows.streaming()

        streaming = {k.claim.reply_id: k.beat_at for k in self.known.values() if k.status == "streaming"}
        assert {s.claim.reply_id: s.beat_at for s in seen} == streaming
        return seen

    @rule(sighting=sightings)
    def watcher_ends_what_it_saw(self, sighting: list[Streaming]) -> None:
        for seen in sighting:
            known = self.known[seen.claim.reply_id]
            has_not_moved = known.status == "streaming" and known.beat_at == seen.beat_at

            has_ended = reply_rows.finish_for_dead(seen, {"status": "interrupted"})

            assert has_ended is has_not_moved
            if has_ended:
                known.status = "interrupted"
                known.history.append("interrupted")

    @rule(reply_id=replies)
    def somebody_asks_it_to_stop(self, reply_id: UUID) -> None:
        reply_rows.request_stop(reply_id, now=self.tick())

        asked = {s.claim.reply_id for s in reply_rows.streaming() if s.must_stop}
        assert (reply_id in asked) is (self.known[reply_id].status == "streaming")

    @invariant()
    def every_row_is_as_it_must_be(self) -> None:
        rows = {m.pk: (m.status, m.text) for m in Message.objects.filter(role="assistant")}
        assert rows == {reply_id: (known.status, known.text) for reply_id, known in self.known.items()}
        assert all(len(known.history) <= 1 for known in self.known.values())


def test_a_reply_ends_once_and_only_by_its_owner_or_for_one_that_did_not_move() -> None:
    profile: dict[str, Any] = {
        "max_examples": 25,
        "stateful_step_count": 25,
        "deadline": None,
        "suppress_health_check": list(HealthCheck),
        "database": None,
    }
    run_state_machine_as_test(LifeOfReplies, settings=settings(**profile))


def test_a_reply_does_not_end_as_streaming() -> None:
    conversation = make_conversation()
    reply = reply_rows.begin(conversation, make_message(conversation), owner="a", now=datetime.now(UTC))

    with pytest.raises(ValueError, match="does not end"):
        reply_rows.finish(reply_rows.claim_of(reply), {"status": "streaming"})


def test_the_end_of_a_row_is_the_frame_that_its_readers_got() -> None:
    conversation = make_conversation()
    reply = reply_rows.begin(conversation, make_message(conversation), owner="a", now=datetime.now(UTC))
    frame = finished(new_log(reply.pk), seq=7, status="stopped")
    reply_rows.finish(
        reply_rows.claim_of(reply), reply_rows.finished_columns(frame, request_id="r", now=datetime.now(UTC))
    )
    reply.refresh_from_db()

    assert reply_rows.finished_frame(reply, epoch=frame.epoch, seq=7) == frame
