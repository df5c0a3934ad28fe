"""Hostile frames: refused by code, without a traceback, without a row, on a socket that stays usable."""

import asyncio
import json
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatapp import protocol
from chatapp.models import Conversation, Message
from chatapp.protocol import limits
from chatapp.socket import buckets
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)

AN_ID = "0b7e4b1c-95b3-4a6a-9d2e-0d4f7f4f9e11"
SEND = f'{{"type":"message.send","client_message_id":"{AN_ID}",'

BAD_FRAMES = {
    "nothing": ("", "bad_json"),
    "not JSON": ("hello", "bad_json"),
    "half an object": ('{"type":"ping"', "bad_json"),
    "two objects": ('{"type":"ping"}{"type":"ping"}', "bad_json"),
    "NaN": ('{"type":"reply.seen","seq":NaN}', "bad_json"),
    "a byte order mark": ('\ufeff{"type":"ping"}', "bad_json"),
    "nested too deep": ('{"type":"ping","x":' + "[" * 20_000 + "]" * 20_000 + "}", "bad_json"),
    "half a character, escaped": (SEND + '"text":"\\ud800"}', "bad_text"),
    "half a character, raw": (SEND + '"text":"\ud800"}', "bad_text"),
    "NUL": (SEND + '"text":"a\\u0000b"}', "bad_text"),
    "no text": (SEND + '"text":" "}', "empty_message"),
    "a list": ("[]", "bad_frame"),
    "a number": ("7", "bad_frame"),
    "null": ("null", "bad_frame"),
    "no type": ("{}", "unknown_type"),
    "an unknown type": ('{"type":"session.ended"}', "unknown_type"),
    "an event of ours": ('{"type":"message_created","conversation_id":""}', "unknown_type"),
    "a server frame": ('{"type":"reply.delta","text":"x"}', "unknown_type"),
    "a type that is none": ('{"type":{"a":1}}', "unknown_type"),
    "a field left out": ('{"type":"reply.stop"}', "bad_field"),
    "a field of another kind": ('{"type":"reply.stop","reply_id":7}', "bad_field"),
    "an id that is none": ('{"type":"conversation.open","conversation_id":"../1"}', "bad_field"),
    "an id with NUL": ('{"type":"conversation.open","conversation_id":"\\u0000"}', "bad_field"),
    "a number below": (f'{{"type":"reply.seen","reply_id":"{AN_ID}","seq":-1}}', "bad_field"),
    "a huge number": (f'{{"type":"reply.seen","reply_id":"{AN_ID}","seq":{"9" * 400}}}', "bad_field"),
    "a number beyond numbers": (f'{{"type":"reply.seen","reply_id":"{AN_ID}","seq":1e999}}', "bad_field"),
    "half a number": (f'{{"type":"reply.seen","reply_id":"{AN_ID}","seq":1.5}}', "bad_field"),
    "a negative time": (f'{{"type":"reply.seen","reply_id":"{AN_ID}","seq":1,"ttft_ms":-1}}', "bad_field"),
    "an assistant beyond 64 bits": (f'{{"type":"typing.started","assistant_id":{2**63}}}', "bad_field"),
    "an assistant in words": ('{"type":"typing.started","assistant_id":"guide"}', "bad_field"),
    "too many attachments": (
        json.dumps({"type": "typing.started", "attachment_ids": [AN_ID] * (protocol.MAX_ATTACHMENTS + 1)}),
        "bad_field",
    ),
    "a cursor with half its fields": (f'{{"type":"conversation.open","cursor":{{"reply_id":"{AN_ID}"}}}}', "bad_field"),
    "a mebibyte": (SEND + '"text":"' + "x" * 2**20 + '"}', "message_too_large"),
}


def count_rows() -> tuple[int, int]:
    return Conversation.objects.count(), Message.objects.count()


@pytest.mark.parametrize("name", BAD_FRAMES)
async def test_a_bad_frame_gets_a_code_and_leaves_no_trace(open_tab, ann, assistant, name):
    text, code = BAD_FRAMES[name]
    tab = await open_tab(ann)

    await tab.send_text(text)
    frames = await tab.read_all()

    assert [(f["type"], f["code"]) for f in frames] == [("error", code)]
    assert len(json.dumps(frames[0])) < 1000
    assert frames[0]["message"]
    assert await in_database_thread(count_rows) == (0, 0)


async def test_bytes_are_refused(open_tab, ann):
    tab = await open_tab(ann)

    await tab.send_bytes(b'{"type":"ping"}')
    frames = await tab.read_all()

    assert [f["code"] for f in frames] == ["binary_frame"]


async def test_unknown_fields_are_ignored(open_tab, ann):
    tab = await open_tab(ann)

    await tab.send_text('{"type":"ping","colour":"green","type_of":["x"]}')

    assert (await tab.read())["type"] == "pong"


async def test_a_failure_of_our_own_is_an_error_frame_and_a_log_line(open_tab, ann, assistant, monkeypatch, caplog):
    def broken(*arguments):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr("chatapp.socket.conversation_states.assistant_view", broken)
    tab = await open_tab(ann)

    await tab.send("conversation.open")
    error = await tab.until("error")
    await tab.send("ping")

    assert (error["code"], error["retryable"]) == ("internal_error", True)
    assert "purpose" not in error["message"]
    assert (await tab.until("pong"))["type"] == "pong"
    assert [r.getMessage() for r in caplog.records if r.levelname == "ERROR"] == [
        "A frame of type ConversationOpen failed"
    ]
    caplog.clear()


@pytest.fixture
def still_clock(monkeypatch):
    """Buckets are not refilled while a test runs."""
    for name in ("typing_per_second", "acks_per_second", "commands_per_second"):
        monkeypatch.setitem(limits.LIMITS, name, 0)


async def test_commands_beyond_the_bucket_are_answered(open_tab, ann, assistant, still_clock):
    tab = await open_tab(ann)

    for _ in range(limits.LIMITS["command_burst"]):
        await tab.send("reply.stop", reply_id=AN_ID)
    await tab.send("reply.stop", reply_id=AN_ID)
    frames = await tab.read_all()

    assert [f["code"] for f in frames[:-1]] == ["not_found"] * limits.LIMITS["command_burst"]
    assert frames[-1]["code"] == "rate_limited"
    assert frames[-1]["ref"] == AN_ID
    assert frames[-1]["retryable"] is True


async def test_acks_beyond_the_bucket_are_dropped_without_a_word(open_tab, ann, assistant, queries, still_clock):
    tab = await open_tab(ann)
    queries.clear()

    for _ in range(limits.LIMITS["ack_burst"] + 20):
        await tab.send("reply.seen", reply_id=AN_ID, seq=1, ttft_ms=5)
    await tab.send("reply.stop", reply_id=AN_ID)
    error = await tab.until("error")

    assert error["code"] == "not_found"
    assert len([sql for sql in queries if sql.startswith("UPDATE")]) == limits.LIMITS["ack_burst"]


async def test_full_buckets_of_hints_leave_commands_alone(open_tab, ann, assistant, still_clock):
    tab = await open_tab(ann)
    for _ in range(300):
        await tab.send("typing.stopped", assistant_id=assistant.pk)
        await tab.send("reply.seen", reply_id=AN_ID, seq=1)

    await tab.say("Hello", assistant_id=assistant.pk)

    assert (await tab.until("reply.finished"))["status"] == "complete"
    assert tab.of_type("error") == []


async def test_a_socket_that_only_sends_nonsense_is_closed(open_tab, ann, still_clock):
    tab = await open_tab(ann)

    for _ in range(limits.STRIKES_TO_CLOSE + 1):
        await tab.send_text("nonsense")

    assert await tab.until_closed() == 4409
    assert len(tab.of_type("error")) == limits.STRIKES_TO_CLOSE + 1


# Structured garbage

IN_ONE_GO = 50
"""More at once than a socket may have waiting would be a flood, which is another test's matter."""

ids = st.sampled_from([AN_ID, "", "x", None, 7, AN_ID.upper(), AN_ID.replace("-", "")]) | st.text(max_size=40)
numbers = st.integers() | st.floats() | st.booleans() | st.sampled_from([2**63, -(2**63), 10**400])
texts = st.text(max_size=60) | st.sampled_from(["\0", "\ud800", "\u202e", "a" * 5000])
anything = st.recursive(
    st.none() | numbers | texts, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)
fields = st.dictionaries(
    st.sampled_from(
        ["conversation_id", "assistant_id", "client_message_id", "reply_id", "parent_id", "text", "seq", "chars"]
        + ["attachment_ids", "cursor", "ttft_ms", "epoch", "after_seq"]
    ),
    ids | numbers | texts | anything | st.lists(ids, max_size=3) | st.fixed_dictionaries({"reply_id": ids}),
    max_size=6,
)
kinds = st.sampled_from([frame.__struct_config__.tag for frame in protocol.ClientFrame.__subclasses__()]) | texts
structured = st.builds(lambda kind, rest: json.dumps({"type": kind, **rest}), kinds, fields)
garbage = structured | texts | anything.map(json.dumps) | structured.map(lambda text: text[: len(text) // 2])


@pytest.fixture
def unlimited(monkeypatch):
    monkeypatch.setattr(buckets.TokenBucket, "take", lambda self: True)


@pytest.mark.any_database
async def test_no_garbage_brings_a_socket_down(open_tab, ann, unlimited):
    """Two thousand made-up frames on one socket: each is answered or dropped; no row, no traceback, no close."""
    frames: list[str] = []

    @settings(
        max_examples=2000, database=None, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
    )
    @given(garbage)
    def collect(text):
        frames.append(text)

    await asyncio.to_thread(collect)
    tab = await open_tab(ann)

    for start in range(0, len(frames), IN_ONE_GO):
        for text in frames[start : start + IN_ONE_GO]:
            await tab.send_text(text)
        last = str(uuid4())
        await tab.send("reply.stop", reply_id=last)
        await tab.until("error", ref=last)

    answers = tab.frames[1:]
    codes = {f["code"] for f in answers if f["type"] == "error"}
    assert len(frames) >= 2000
    assert {f["type"] for f in answers} <= {"error", "pong", "conversations.page", "search.results"}
    assert {"bad_json", "bad_field", "unknown_type", "not_found"} <= codes
    assert "internal_error" not in codes
    assert await in_database_thread(count_rows) == (0, 0)
