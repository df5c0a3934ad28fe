"""What a reply's row holds of the provider's events: all of them, as the API will want them back."""

from chatapp.replies.content import ReplyContent, api_blocks_of, block_views
from warmcache.core.ports import BlockBegan, BlockExtended, BlockSigned

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


def collected() -> ReplyContent:
    content = ReplyContent()
    content.begin(BlockBegan(index=0, kind="thinking", block={"type": "thinking", "thinking": "", "signature": ""}))
    content.add(0, "Hm.")
    content.sign(BlockSigned(index=0, signature="c2ln"))
    content.begin(BlockBegan(index=1, kind="tool_input", name="web_search", block=CALL))
    content.add(1, '{"q":1}')
    content.begin(BlockBegan(index=2, kind="other", block=RESULT))
    content.begin(BlockBegan(index=3, kind="text", block={"type": "text", "text": "", "citations": None}))
    content.add(3, "It is 60.")
    for _ in range(2):
        content.extend(BlockExtended(index=3, delta={"type": "citations_delta", "citation": CITATION}))
    content.begin(BlockBegan(index=4, kind="other", block=HOLOGRAM))
    content.extend(BlockExtended(index=4, delta={"type": "beam_delta", "beam": "red", "size": {"x": 1}}))
    content.begin(BlockBegan(index=5, kind="other", block={"type": "redacted_thinking", "data": "xyz"}))
    return content


def test_every_block_is_stored_whole_known_or_not():
    content = collected()

    assert content.api_blocks() == STORED
    assert content.text() == "It is 60."


def test_what_is_stored_does_not_change_what_the_provider_sent():
    assert collected().api_blocks() == collected().api_blocks()
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


def test_a_block_without_text_that_no_checkpoint_has_is_lost_and_leaves_no_hole():
    assert api_blocks_of(block_views(STORED), stored=STORED[:2]) == [
        *STORED[:2],
        {"type": "text", "text": "It is 60."},
    ]


def test_a_block_without_text_counts_as_something_to_store():
    content = ReplyContent()

    content.begin(BlockBegan(index=0, kind="other", block=RESULT))

    assert content.bytes_received > 0
