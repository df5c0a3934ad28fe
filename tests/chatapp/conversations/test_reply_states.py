"""The table of a reply's states, walked: each state, each act, each actor, at real rows and a real log."""

import asyncio
from datetime import UTC, datetime
from itertools import product

import pytest

from chatapp.conversations import reply_states
from chatapp.conversations.reply_states import ENDS, MOVES, Act, Actor, Cause, Written
from chatapp.models import Message
from chatapp.protocol.views import ErrorView
from chatapp.protocol.words import ReplyStatus
from chatapp.replies import rows
from chatapp.replies.rows import Streaming
from tests.chatapp.replies.reply_frames import finished, new_log
from tests.factories import make_conversation, make_message
from warmcache.core.errors import StreamBroken, UpstreamRefused, UpstreamUnavailable

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)


def do(act: Act, by: Actor, reply: Message, *, end: ReplyStatus) -> None:
    """The one function of `reply_rows` for it."""
    claim = rows.claim_of(reply)
    seen = Streaming(claim=claim, conversation_id=reply.conversation_id, beat_at=reply.beat_at, must_stop=False)
    match act, by:
        case Act.CHECKPOINT, Actor.OWNER:
            rows.checkpoint(claim, {"text": "moved"}, now=LATER)
        case Act.BEAT, Actor.OWNER:
            rows.beat([reply.pk], now=LATER)
        case Act.ASK_TO_STOP, Actor.PERSON:
            rows.request_stop(reply.pk, now=LATER)
        case Act.END, Actor.OWNER:
            rows.end(claim, {"status": end, "text": "moved"})
        case Act.END, Actor.WATCHER:
            rows.finish_for_dead(seen, {"status": end, "text": "moved"})
        case other:
            pytest.fail(f"nothing in reply_rows does {other}")


def columns_of(reply: Message) -> tuple:
    reply.refresh_from_db()
    return reply.status, reply.text, reply.beat_at, reply.stop_requested_at


@pytest.mark.django_db
@pytest.mark.parametrize("state", list(ReplyStatus))
@pytest.mark.parametrize("move", [m for m in MOVES if m.before is not None], ids=lambda m: f"{m.act} by {m.by}")
def test_a_row_moves_where_the_table_says_so_and_nowhere_else(move, state):
    conversation = make_conversation()
    for end in sorted(move.after):
        reply = rows.begin(conversation, make_message(conversation), owner="a", now=NOW)
        Message.objects.filter(pk=reply.pk).update(status=state)
        before = columns_of(reply)

        do(move.act, move.by, reply, end=end)
        after = columns_of(reply)

        assert (after != before) is (state == move.before)
        assert after[0] == (end if state == move.before else state)


@pytest.mark.django_db
def test_a_row_begins_as_the_table_says():
    conversation = make_conversation()
    [move] = [move for move in MOVES if move.before is None]

    reply = rows.begin(conversation, make_message(conversation), owner="a", now=NOW)

    assert {reply.status} == move.after


@pytest.mark.parametrize(("act", "by"), sorted(set(product(Act, Actor)) - {(m.act, m.by) for m in MOVES if m.before}))
def test_what_the_table_does_not_name_may_not_be_done_to_a_row(act, by):
    with pytest.raises(ValueError, match=f"{by} do this: {act}"):
        reply_states.before(act, by)


@pytest.mark.parametrize("state", list(ReplyStatus))
def test_a_log_ends_only_with_an_end_of_the_table(state):
    log = new_log()

    if state in ENDS:
        log.append(finished(log, status=state))
    else:
        with pytest.raises(ValueError, match="does not end"):
            log.append(finished(log, status=state))

    assert log.is_finished is (state in ENDS)


@pytest.mark.django_db
def test_an_owner_learns_what_stood_in_the_way_of_its_end():
    conversation = make_conversation()
    columns = {"status": ReplyStatus.COMPLETE, "log_seq": 7}
    done, taken, gone = [rows.begin(conversation, make_message(conversation), owner="a", now=NOW) for _ in range(3)]
    Message.objects.filter(pk=taken.pk).update(status=ReplyStatus.INTERRUPTED)
    claims = [rows.claim_of(reply) for reply in (done, taken, gone)]
    gone.delete()

    outcomes = [rows.end(claim, columns) for claim in claims]
    again = [rows.end(claim, columns) for claim in claims]

    assert outcomes == again == [Written.DONE, Written.TAKEN, Written.GONE]


def test_every_cause_has_an_end_and_every_state_a_consequence():
    assert set(reply_states.STATUS_AFTER) == set(Cause)
    assert set(reply_states.STATUS_AFTER.values()) == ENDS
    assert set(reply_states.CONSEQUENCES) == set(ReplyStatus)
    assert {state for state in ReplyStatus if reply_states.consequence_of(state).sends_next} == {ReplyStatus.COMPLETE}


REFUSED = UpstreamRefused("model_not_found", "No such model.")
BROKEN = StreamBroken("stream_cut", "It broke off.")
AWAY = UpstreamUnavailable("overloaded", "Too much to do.")


@pytest.mark.parametrize(
    ("failure", "asked", "state", "code"),
    [
        (None, None, "complete", None),
        (None, Cause.STOPPED, "complete", None),
        (asyncio.CancelledError(), Cause.STOPPED, "stopped", None),
        (asyncio.CancelledError(), Cause.SHUTDOWN, "interrupted", "server_restarted"),
        (asyncio.CancelledError(), None, "interrupted", "server_restarted"),
        (asyncio.CancelledError(), Cause.LOST, "stopped", None),
        (BROKEN, None, "interrupted", "stream_cut"),
        (REFUSED, None, "failed", "model_not_found"),
        (AWAY, None, "failed", "overloaded"),
        (RuntimeError("a bug"), None, "failed", "internal_error"),
    ],
)
def test_the_way_a_reading_ended_names_the_end_and_what_is_told(failure, asked, state, code):
    cause = reply_states.cause_of(failure, asked=asked)
    error: ErrorView | None = reply_states.error_of(cause, failure)

    assert reply_states.status_after(cause) == state
    assert (error.code if error else None) == code
