"""Frames as values: what is decoded, what is refused, how times and money look on the wire."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatapp import protocol
from tests.frame_parts import FrameJoiner

AN_ID = UUID("0b7e4b1c-95b3-4a6a-9d2e-0d4f7f4f9e11")


def refusal_of(text: str) -> protocol.FrameError:
    with pytest.raises(protocol.FrameError) as refused:
        protocol.decode(text)
    return refused.value


def test_what_a_frame_leaves_out_has_its_default():
    assert protocol.decode('{"type":"conversation.open"}') == protocol.ConversationOpen()
    assert protocol.decode('{"type":"typing.started"}') == protocol.TypingStarted(chars=0, attachment_ids=[])


def test_unknown_fields_are_ignored():
    assert protocol.decode('{"type":"ping","new":{"a":[1]}}') == protocol.Ping()


def test_an_assistant_s_number_may_come_as_text():
    frame = protocol.decode('{"type":"conversation.open","assistant_id":"7"}')

    assert isinstance(frame, protocol.ConversationOpen)
    assert frame.assistant_id == "7"


@pytest.mark.parametrize("assistant_id", ['"7\\n"', '"-7"', '"٧"', '""', "0", "-1", "true", "1.5", f'"{"9" * 19}"'])
def test_a_number_that_is_none_names_no_assistant(assistant_id):
    refused = refusal_of(f'{{"type":"conversation.open","assistant_id":{assistant_id}}}')

    assert refused.code == "bad_field"
    assert "assistant_id" in refused.message


@pytest.mark.parametrize(
    ("fields", "ref"),
    [
        ({"client_message_id": str(AN_ID), "conversation_id": 7}, str(AN_ID)),
        ({"conversation_id": "c" * 64, "text": 1}, "c" * 64),
        ({"conversation_id": "c" * 65, "text": 1}, None),
        ({"client_message_id": ["x"], "text": 1}, None),
        ({"reply_id": "r", "text": 1}, "r"),
        ({}, None),
    ],
)
def test_a_refusal_names_the_frame_it_answers(fields, ref):
    assert refusal_of(json.dumps({"type": "message.send", **fields})).ref == ref


def test_a_refusal_does_not_send_the_frame_back():
    refused = refusal_of(json.dumps({"type": "x" * 10_000}))

    assert refused.code == "unknown_type"
    assert len(refused.message) < 2 * protocol.MAX_REASON_CHARS


@pytest.mark.parametrize("size", [-1, 0, 1])
def test_the_bound_of_a_frame_is_exact_and_counts_bytes(size):
    frame = '{"type":"ping","x":"é"}'
    text = frame.replace("é", "é" + "x" * (protocol.MAX_FRAME_BYTES - len(frame.encode()) + size))

    if size > 0:
        assert refusal_of(text).code == "message_too_large"
    else:
        assert protocol.decode(text) == protocol.Ping()


def test_times_are_utc_and_ids_are_text():
    frame = protocol.MessageCreated(
        client_message_id=AN_ID,
        message_id=AN_ID,
        conversation_id=AN_ID,
        parent_id=None,
        text="ä\u2028",
        attachments=[],
        created_at=datetime(2026, 11, 22, 18, 0, tzinfo=UTC),
    )

    sent = json.loads(protocol.encode(frame))

    assert sent["type"] == "message.created"
    assert sent["created_at"] == "2026-11-22T18:00:00Z"
    assert sent["message_id"] == str(AN_ID)
    assert sent["parent_id"] is None
    assert sent["text"] == "ä\u2028"


def test_warmth_names_one_place_only():
    frame = protocol.Warmth(
        state="cold", reason=None, prefix_tokens=0, estimated_expires_at=None, conversation_id=AN_ID
    )

    assert "assistant_id" not in json.loads(protocol.encode(frame))


@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_whatever_comes_is_a_frame_or_a_refusal(text):
    try:
        frame = protocol.decode(text)
    except protocol.FrameError as refused:
        assert refused.code
        assert refused.message
    else:
        assert isinstance(frame, protocol.ClientFrame)


def error_of(text: str) -> protocol.Error:
    return protocol.Error(code="x", message=text, ref=None, retryable=False)


@settings(deadline=None, max_examples=30)
@given(
    st.text(alphabet=st.sampled_from('a"\\é世\U0001f600\n\x01'), min_size=1, max_size=40),
    st.integers(protocol.MAX_SENT_BYTES // 2, protocol.MAX_SENT_BYTES * 3),
)
def test_a_frame_of_any_size_goes_in_messages_below_the_bound_and_comes_out_the_same(pattern, size):
    frame = error_of(pattern * (size // len(pattern.encode())))

    texts = protocol.parts_of(protocol.encode(frame), number=7)

    assert max(len(text.encode()) for text in texts) <= protocol.MAX_SENT_BYTES
    joiner = FrameJoiner()
    *waiting, whole = [joiner.take(text) for text in texts]
    assert waiting == [None] * (len(texts) - 1)
    assert whole == json.loads(protocol.encode(frame))


@pytest.mark.parametrize(("spare_bytes", "is_whole"), [(0, True), (-1, False)])
def test_a_frame_goes_in_parts_only_where_it_is_too_large(spare_bytes, is_whole):
    envelope = len(protocol.encode(error_of("")))

    frame = error_of("x" * (protocol.MAX_SENT_BYTES - envelope - spare_bytes))
    texts = protocol.parts_of(protocol.encode(frame), number=1)

    assert (len(texts) == 1) is is_whole
