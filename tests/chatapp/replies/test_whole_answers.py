"""Every kind of block, delta and stop reason that the official client knows goes through stream, row, reload and the
next request, and comes out as it went in. A new release of the client that knows more of them fails the counts."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, get_args

import anthropic.types as stable
import anthropic.types.beta as beta
import pytest

from chatapp.conversations import prepared_conversations, prompts
from chatapp.models import Message
from chatapp.replies.content import block_views
from chatapp.replies.log import ReplyLog
from chatapp.replies.writer import ReplyWriter
from tests.chatapp.replies.reply_frames import new_log
from tests.factories import make_assistant, make_conversation, make_message, make_user
from tests.sdk_shapes import examples, members_of, type_of
from tests.warmcache.upstream.test_event_stream import START, begin, delta, end, ours, wire
from warmcache.core.answers import AnswerContent
from warmcache.core.catalog import facts_for
from warmcache.core.ports import StreamEnded, StreamEvent
from warmcache.core.prefix import build
from warmcache.simulator.message_rules import NEW_VERSION, check_messages

Json = dict[str, Any]

MOST_CUTS = 300
MODEL = "claude-sonnet-5-5"

BLOCKS = {
    "text": 3,
    "thinking": 1,
    "redacted_thinking": 1,
    "tool_use": 4,
    "server_tool_use": 8,
    "web_search_tool_result": 8,
    "web_fetch_tool_result": 13,
    "code_execution_tool_result": 8,
    "bash_code_execution_tool_result": 7,
    "text_editor_code_execution_tool_result": 13,
    "tool_search_tool_result": 6,
    "container_upload": 1,
    "advisor_tool_result": 11,
    "mcp_tool_use": 1,
    "mcp_tool_result": 3,
    "mcp_tool_listing": 2,
    "compaction": 3,
    "fallback": 23,
}
"""Every type of block, and how many alternatives its contents have. The last ones are known to the beta API only."""

STABLE_BLOCKS = 12
DELTAS = {"text_delta": 1, "input_json_delta": 1, "citations_delta": 10, "thinking_delta": 2, "signature_delta": 1}
DELTAS |= {"compaction_delta": 2}
STABLE_DELTAS = 5
EVENTS = ["content_block_delta", "content_block_start", "content_block_stop", "message_delta", "message_start"]
EVENTS += ["message_stop"]
STOP_REASONS = ["end_turn", "max_tokens", "model_context_window_exceeded", "pause_turn", "refusal", "stop_sequence"]
STOP_REASONS += ["tool_use"]
CITATIONS = ["char_location", "content_block_location", "page_location", "search_result_location"]
CITATIONS += ["web_search_result_location"]

MODELS = {type_of(model): model for api in (beta.BetaContentBlock, stable.ContentBlock) for model in members_of(api)}
MODELS |= {type_of(model): model for model in members_of(beta.BetaContentBlock)}
UNKNOWN: Json = {"type": "hologram", "beam": {"colour": None, "parts": [1, 2.5]}, "text": "not prose"}


def pieces(text: str) -> list[str]:
    third = max(1, len(text) // 3)
    return [text[at : at + third] for at in range(0, len(text), third)]


def payloads_of(index: int, block: Json, *, has_whole_input: bool = False) -> Iterator[Json]:
    """The events of a block as the API sends them: what grows comes in deltas."""
    match block:
        case {"type": "text"}:
            given = block.get("citations")
            yield begin(index, {**block, "text": "", "citations": None if given else given})
            yield from (delta(index, "text_delta", text=piece) for piece in pieces(block["text"]))
            yield from (delta(index, "citations_delta", citation=each) for each in given or ())
        case {"type": "thinking"}:
            yield begin(index, {**block, "thinking": "", "signature": ""})
            yield from (delta(index, "thinking_delta", thinking=piece) for piece in pieces(block["thinking"]))
            yield delta(index, "signature_delta", signature=block["signature"])
        case {"type": "compaction"}:
            grows = {"content", "encrypted_content"}
            yield begin(index, {name: None if name in grows else value for name, value in block.items()})
            yield delta(index, "compaction_delta", **{name: block[name] for name in grows})
        case {"id": _, "input": whole} if not has_whole_input:
            yield begin(index, {**block, "input": {}})
            written = json.dumps(whole)
            yield from (delta(index, "input_json_delta", partial_json=piece) for piece in ["", *pieces(written)])
        case _:
            yield begin(index, block)
    yield end(index)


def stream_of(blocks: Sequence[Json], *, stop_reason: str = "end_turn", has_whole_input: bool = False) -> bytes:
    payloads = [START]
    for index, block in enumerate(blocks):
        payloads += payloads_of(index, block, has_whole_input=has_whole_input)
    ended = {"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": {"output_tokens": 9}}
    return wire([*payloads, ended, {"type": "message_stop"}])


def answer_with(kind: str) -> list[Json]:
    """An answer with every example of this type of block, each call with its result and each result with its call."""
    blocks: list[Json] = [{"type": "text", "text": "I begin. "}]
    for number, example in enumerate(examples(MODELS[kind])):
        id_ = f"srvtoolu_{number}"
        if "input" in example:
            blocks.append({**example, "id": id_})
            if kind != "tool_use":
                blocks.append({"type": "web_search_tool_result", "tool_use_id": id_, "content": []})
        elif "tool_use_id" in example:
            blocks.append({"type": "server_tool_use", "id": id_, "name": "web_search", "input": {}})
            blocks.append({**example, "tool_use_id": id_})
        else:
            blocks.append(example)
    return [*blocks, {"type": "text", "text": " I end."}]


ANSWERS: dict[str, list[Json]] = {kind: answer_with(kind) for kind in BLOCKS}
ANSWERS["hologram"] = [{"type": "text", "text": "Look:"}, UNKNOWN, {"type": "text", "text": "There."}]


def known_nulls_left_out(block: Json) -> Json:
    """A member that is null is the same as none, in the blocks whose fields we know."""
    is_known = block["type"] in ("text", "thinking") or "input" in block
    return {name: value for name, value in block.items() if value is not None} if is_known else block


def accepted(value: Any) -> Any:
    """What requests take: `file_id` of a citation is in answers only, and a caller is an object or absent."""
    if isinstance(value, dict):
        refused = {"file_id"} if str(value.get("type")).endswith("_location") else set()
        refused |= {"caller"} if value.get("caller", "") is None else set()
        return {name: accepted(inner) for name, inner in value.items() if name not in refused}
    return [accepted(inner) for inner in value] if isinstance(value, list) else value


def written(events: Sequence[StreamEvent], log: ReplyLog | None = None) -> ReplyWriter:
    writer = ReplyWriter(log or new_log(), received_at=0.0)
    writer.take(events)
    writer.close()
    return writer


class TestTheKindsAreThoseOfTheOfficialClient:
    message = "the official client knows other kinds: look at the new ones"

    def test_blocks(self):
        assert len(members_of(stable.ContentBlock)) == STABLE_BLOCKS, self.message
        assert {kind: len(examples(model)) for kind, model in MODELS.items()} == BLOCKS, self.message

    def test_deltas(self):
        known = {type_of(model): len(examples(model)) for model in members_of(beta.BetaRawContentBlockDelta)}
        assert len(members_of(stable.RawContentBlockDelta)) == STABLE_DELTAS, self.message
        assert known == DELTAS, self.message

    def test_events(self):
        for api in (stable.RawMessageStreamEvent, beta.BetaRawMessageStreamEvent):
            assert sorted(map(type_of, members_of(api))) == EVENTS, self.message

    def test_stop_reasons(self):
        assert sorted(get_args(stable.StopReason)) == STOP_REASONS, self.message
        assert sorted(get_args(beta.BetaStopReason)) == sorted([*STOP_REASONS, "compaction"]), self.message

    def test_citations(self):
        found = {each["citation"]["type"] for each in examples(members_of(stable.CitationsDelta)[0])}
        assert sorted(found) == CITATIONS, self.message


@pytest.mark.parametrize("kind", ANSWERS)
def test_every_block_comes_out_of_the_stream_as_it_is_wherever_the_bytes_are_cut(kind):
    blocks = ANSWERS[kind]
    body = stream_of(blocks)

    events, ending = ours(body)
    answer = AnswerContent()
    for event in events:
        answer.take(event)

    assert ending == "ended"
    assert list(map(known_nulls_left_out, answer.blocks())) == list(map(known_nulls_left_out, blocks))
    assert ours(body, range(1, len(body))) == (events, ending)
    for cut in range(1, len(body), max(1, len(body) // MOST_CUTS)):
        assert ours(body, [cut]) == (events, ending), cut


@pytest.mark.parametrize("has_whole_input", [False, True], ids=["", "whole input"])
@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.django_db
def test_every_block_goes_through_row_and_reload_into_the_next_request(kind, has_whole_input):
    blocks = ANSWERS[kind]
    conversation = make_conversation(make_user(), make_assistant(model=MODEL))
    before = prepared_conversations.shared_prompt(conversation.assistant)
    log = new_log()
    writer = written(ours(stream_of(blocks, has_whole_input=has_whole_input))[0], log)
    columns = {**writer.content_columns(), "shared_hash": before.shared_hash}
    question = make_message(conversation, "Why?")
    make_message(conversation, role="assistant", parent=question, **columns)

    row = Message.objects.get(role="assistant")
    stored = prompts.api_content(row.content)
    prompt = prepared_conversations.of(conversation).prompt
    messages = build(prompt, [{"type": "text", "text": "And?"}]).body["messages"]

    assert stored == list(map(known_nulls_left_out, blocks))
    assert [each.block for each in block_views(row.content)] == list(range(len(blocks)))
    assert block_views(row.content) == log.blocks()
    *_, said, _ = messages
    unmarked = [{name: value for name, value in block.items() if name != "cache_control"} for block in said["content"]]
    expected = [accepted(block) for block in stored if kind != "tool_use" or block["type"] != "tool_use"]
    assert unmarked == expected
    check_messages(messages, facts_for(MODEL), NEW_VERSION)


@pytest.mark.parametrize("stop_reason", [*STOP_REASONS, "compaction", "an unknown one"])
def test_every_stop_reason_is_kept_with_what_the_message_says_of_itself(stop_reason):
    events, _ = ours(stream_of([{"type": "text", "text": "Well."}], stop_reason=stop_reason))

    writer = written(events)

    assert isinstance(events[-1], StreamEnded)
    assert events[-1].stop_reason == stop_reason
    (kept,) = writer.content_columns()["rounds"]
    assert (kept["first_block"], kept["message"]["stop_reason"], kept["message"]["id"]) == (0, stop_reason, "msg_1")
    assert writer.content.is_paused == (stop_reason == "pause_turn")


def test_events_of_unknown_kinds_are_kept_in_the_row():
    unknown = {"type": "weather", "sky": ["blue", None]}
    events, _ = ours(wire([START, unknown]))

    assert written(events).content_columns()["rounds"] == [{"first_block": 0, "events": [unknown]}]
