"""What a reply's row holds of the provider's events: all of them, as the API will want them back."""

from typing import Any

from chatapp.conversations import prompts
from chatapp.protocol.views import BlockView
from chatapp.replies.content import api_blocks_of, block_views
from chatapp.replies.writer import ReplyWriter
from tests.chatapp.replies.reply_frames import new_log
from warmcache import BlockKind
from warmcache.core.ports import BlockBegan, BlockDelta, BlockExtended, BlockSigned, StreamEvent
from warmcache.core.prefix import Turn

CITATION = {"type": "char_location", "cited_text": "sixty"}
CALL = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}, "caller": {"type": "direct"}}
RESULT = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"title": "a\0b"}]}
HOLOGRAM = {"type": "hologram", "beam": "blue", "size": None}
STORED = [
    {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
    {**CALL, "input_json": '{"q":1}'},
    {**RESULT, "content": [{"title": "a\ufffdb"}]},
    {"type": "text", "text": "It is 60.", "citations": [CITATION, CITATION]},
    {"type": "hologram", "beam": "bluered", "size": {"x": 1}},
    {"type": "redacted_thinking", "data": "xyz"},
]
del STORED[1]["input"]


def collected() -> dict[str, Any]:
    """The row's columns after all these events."""
    writer = ReplyWriter(new_log(), received_at=0.0)
    events: list[StreamEvent] = [
        BlockBegan(index=0, kind="thinking", block={"type": "thinking", "thinking": "", "signature": ""}),
        BlockDelta(index=0, kind="thinking", text="Hm."),
        BlockSigned(index=0, signature="c2ln"),
        BlockBegan(index=1, kind="tool_input", name="web_search", block=CALL),
        BlockDelta(index=1, kind="tool_input", text='{"q":1}'),
        BlockBegan(index=2, kind="other", block=RESULT),
        BlockBegan(index=3, kind="text", block={"type": "text", "text": "", "citations": None}),
        BlockDelta(index=3, kind="text", text="It is 60."),
        *[BlockExtended(index=3, delta={"type": "citations_delta", "citation": CITATION})] * 2,
        BlockBegan(index=4, kind="other", block=HOLOGRAM),
        BlockExtended(index=4, delta={"type": "beam_delta", "beam": "red", "size": {"x": 1}}),
        BlockBegan(index=5, kind="other", block={"type": "redacted_thinking", "data": "xyz"}),
    ]
    for event in events:
        writer.take([event])
    return writer.content_columns()


def test_every_block_is_stored_whole_known_or_not():
    columns = collected()

    assert columns["content"] == STORED
    assert columns["text"] == "It is 60."


def test_what_is_stored_does_not_change_what_the_provider_sent():
    assert collected()["content"] == collected()["content"]
    assert (HOLOGRAM["beam"], RESULT["content"]) == ("blue", [{"title": "a\0b"}])


def test_a_page_counts_the_blocks_as_the_provider_did():
    views = block_views(STORED)

    assert [(view.block, view.kind) for view in views] == [
        (0, "thinking"),
        (1, "tool_input"),
        (2, "other"),
        (3, "text"),
        (4, "other"),
        (5, "other"),
    ]
    assert [view.text for view in views] == ["Hm.", '{"q":1}', "", "It is 60.", "", ""]


def test_a_reply_that_is_taken_over_keeps_what_no_frame_tells():
    assert api_blocks_of(block_views(STORED), stored=STORED) == STORED


def test_a_block_that_no_checkpoint_has_keeps_its_place_and_what_the_page_was_told_of_it():
    views = block_views(STORED)

    kept = api_blocks_of(views, stored=STORED[:1])

    assert kept == [
        STORED[0],
        STORED[1],
        {**STORED[2], "is_cut": True},
        {**STORED[3], "is_cut": True},
        {**STORED[4], "is_cut": True},
        {"type": "redacted_thinking", "is_cut": True},
    ]
    assert [(view.block, view.kind, view.text) for view in block_views(kept)] == [
        (view.block, view.kind, view.text) for view in views
    ]


def test_what_only_the_page_was_told_does_not_go_back_to_the_provider():
    kept = api_blocks_of(block_views(STORED), stored=STORED[:1])

    assert prompts.answered(kept, is_whole=True) == (
        Turn(role="assistant", blocks=(STORED[0], {"type": "text", "text": "It is 60."})),
    )


CALL_OF_OURS = {"type": "tool_use", "id": "toolu_1", "name": "calculator", "input_json": '{"expression": "6 * 7"}'}
RESULT_OF_OURS = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "42"}]}
NOTE = {"type": "chat.note", "text": "No more."}
ANSWER = {"type": "chat.answer", "answer": {"a": 1}}


def test_results_and_notes_stand_in_the_persons_place_and_a_found_answer_is_not_sent():
    said = {"type": "text", "text": "It is 42."}

    turns = prompts.answered([CALL_OF_OURS, RESULT_OF_OURS, NOTE, said, ANSWER], is_whole=True)

    called = {"type": "tool_use", "id": "toolu_1", "name": "calculator", "input": {"expression": "6 * 7"}}
    assert turns == (
        Turn(role="assistant", blocks=(called,)),
        Turn(role="user", blocks=(RESULT_OF_OURS, {"type": "text", "text": "No more."})),
        Turn(role="assistant", blocks=(said,)),
    )
    assert prompts.answered([CALL_OF_OURS, RESULT_OF_OURS, NOTE, said], is_whole=False) == turns[2:]


def test_a_call_whose_result_died_with_its_process_is_not_sent():
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    said = {"type": "text", "text": "It is 42."}
    whole = [CALL_OF_OURS, RESULT_OF_OURS, thought, said]

    kept = api_blocks_of(block_views(whole), stored=whole[:1])

    assert prompts.answered(kept, is_whole=True) == (Turn(role="assistant", blocks=(said,)),)


def test_a_block_that_had_just_begun_when_its_process_died_is_lost():
    begun = BlockView(block=0, kind=BlockKind.OTHER, name="", text="", state="start")

    assert api_blocks_of([begun], stored=[]) == []


def test_a_block_without_text_counts_as_something_to_store():
    writer = ReplyWriter(new_log(), received_at=0.0)

    writer.take([BlockBegan(index=0, kind="other", block=RESULT)])

    assert writer.bytes_received > 0
