"""What goes back of an answer: everything, except for what the API would refuse."""

from collections.abc import Iterator
from typing import Any, get_type_hints

import anthropic.types as stable
import anthropic.types.beta as beta
import pytest
from typing_extensions import is_typeddict

from tests.sdk_shapes import members_of, type_of
from warmcache.core.answers import AnswerContent, parsed_input
from warmcache.core.ports import BlockBegan, BlockDelta, BlockExtended, BlockSigned, StreamEnded
from warmcache.core.prefix import (
    Json,
    PrefixKey,
    Prompt,
    Turn,
    answer_turn,
    build,
    exchange_turns,
    paused_turn,
    prepare,
    text_turn,
)
from warmcache.core.prompt.answers import REFUSED_MEMBERS
from warmcache.core.prompt.passages import MARKABLE
from warmcache.core.usage import Usage

KEY = PrefixKey(secret=b"test", upstream="http://fake")
THOUGHT: Json = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
REDACTED: Json = {"type": "redacted_thinking", "data": "eHl6"}
UNSIGNED: Json = {"type": "thinking", "thinking": "H", "signature": ""}
CALL: Json = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
FOUND: Json = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
TOOL: Json = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {}}
HOLOGRAM: Json = {"type": "hologram", "beam": None}
BLANK: Json = {"type": "text", "text": "\n\n"}
RESULT: Json = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"}


def text(value: str) -> Json:
    return {"type": "text", "text": value}


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ([THOUGHT, text("Yes.")], [THOUGHT, text("Yes.")]),
        ([REDACTED, CALL, FOUND, HOLOGRAM, text("Yes.")], [REDACTED, CALL, FOUND, HOLOGRAM, text("Yes.")]),
        ([text("I look."), TOOL], [text("I look.")]),
        ([text("I look."), CALL], [text("I look.")]),
        ([FOUND, text("Found.")], [text("Found.")]),
        ([FOUND, CALL, text("Backwards.")], [text("Backwards.")]),
        ([{**CALL, "input": None}, FOUND, text("Torn.")], [text("Torn.")]),
        ([UNSIGNED, text("Yes.")], [text("Yes.")]),
        ([text("Yes."), THOUGHT], [text("Yes.")]),
        ([text("I look."), TOOL, THOUGHT, text("So.")], [text("I look."), text("So.")]),
        ([THOUGHT], []),
        ([THOUGHT, TOOL], []),
        ([BLANK], []),
        ([BLANK, THOUGHT, text("a"), BLANK, text("b")], [THOUGHT, text("a\n\n"), text("b")]),
        ([text("a"), CALL, FOUND, BLANK, text("b")], [text("a"), CALL, FOUND, text("b")]),
        ([], []),
    ],
)
def test_an_answer_goes_back_whole_but_for_what_the_api_would_refuse(content: list[Json], sent: list[Json]) -> None:
    turn = answer_turn(content)

    assert (list(turn.blocks) if turn else []) == sent
    assert turn is None or turn.role == "assistant"


def said(*blocks: Json) -> Turn:
    return Turn(role="assistant", blocks=blocks)


def told(*blocks: Json) -> Turn:
    return Turn(role="user", blocks=blocks)


@pytest.mark.parametrize(
    ("exchange", "sent"),
    [
        ([said(THOUGHT, TOOL), told(RESULT), said(THOUGHT, text("42."))], None),
        ([said(TOOL), told(RESULT)], None),
        # The provider's own call waits for the host's: its result comes with the answer after that.
        ([said(CALL, TOOL), told(RESULT), said(FOUND, text("So."))], None),
        ([said(text("I look."), TOOL)], [said(text("I look."))]),
        # A lost result takes its call along, and thinking after that is not valid any more.
        ([said(TOOL), said(THOUGHT, text("42."))], [said(text("42."))]),
        ([said({**TOOL, "input": None}), told(RESULT), said(text("Torn."))], [said(text("Torn."))]),
        ([said(CALL, TOOL), told(RESULT)], [said(TOOL), told(RESULT)]),
        # The same id once more: this call has no result.
        ([said(TOOL), told(RESULT), said(text("Again."), TOOL)], [said(TOOL), told(RESULT), said(text("Again."))]),
        ([], []),
    ],
)
def test_an_exchange_with_the_hosts_tools_goes_back_turn_by_turn(exchange: list[Turn], sent: list[Turn] | None) -> None:
    assert list(exchange_turns(exchange)) == (exchange if sent is None else sent)


def test_an_open_exchange_keeps_what_still_waits() -> None:
    for exchange in ([said(CALL, TOOL), told(RESULT)], [said(TOOL), told(RESULT), said(text("I look."), CALL)]):
        assert list(exchange_turns(exchange, is_open=True)) == exchange
    torn = [said(text("I look."), {**TOOL, "input": None}), told(RESULT)]
    assert exchange_turns(torn, is_open=True) == (said(text("I look.")),)


def test_a_host_that_runs_tools_sends_their_calls_with_the_results() -> None:
    waiting = [THOUGHT, TOOL, CALL]

    turn = answer_turn(waiting, paired_elsewhere={"toolu_1", "srvtoolu_1"})
    later = answer_turn([FOUND, text("Found.")], paired_elsewhere={"srvtoolu_1"})

    assert turn == Turn(role="assistant", blocks=tuple(waiting))
    assert later == Turn(role="assistant", blocks=(FOUND, text("Found.")))


def test_a_paused_answer_goes_back_with_what_is_still_open() -> None:
    content = [text("I look."), BLANK, CALL, THOUGHT]

    assert paused_turn(content) == Turn(role="assistant", blocks=(text("I look."), CALL, THOUGHT))
    assert paused_turn([BLANK]) is None


def test_another_provider_gets_only_the_text() -> None:
    cited = {**text("Yes."), "citations": [{"type": "web_search_result_location", "encrypted_index": "x"}]}

    assert text_turn([THOUGHT, text("So:"), CALL, FOUND, cited, BLANK]) == Turn(
        role="assistant", blocks=(text("So:"), text("Yes.\n\n"))
    )
    assert text_turn([THOUGHT]) is None


def test_what_was_given_is_not_changed() -> None:
    content = [{**text("a"), "citations": [{"type": "char_location", "file_id": "f"}]}, BLANK]

    answer_turn(content)

    assert content == [{**text("a"), "citations": [{"type": "char_location", "file_id": "f"}]}, BLANK]


class TestTheTableOfRefusedMembers:
    """Held to the official client: what answers have and requests have not, at any depth."""

    def test_it_names_all_of_them_and_no_other(self) -> None:
        found: dict[str, set[str]] = {}
        for answers, requests in (
            (stable.ContentBlock, stable.ContentBlockParam),
            (beta.BetaContentBlock, beta.BetaContentBlockParam),
        ):
            accepted = {_type(each): each for each in members_of(requests) if is_typeddict(each)}
            for model in members_of(answers):
                for name, members in _only_in_answers(model, accepted[type_of(model)]):
                    found.setdefault(name, set()).update(members)

        assert found == {name: set(members) for name, members in REFUSED_MEMBERS.items()}

    def test_only_blocks_that_take_one_get_a_breakpoint(self) -> None:
        takes = {
            _type(each)
            for requests in (stable.ContentBlockParam, beta.BetaContentBlockParam)
            for each in members_of(requests)
            if is_typeddict(each) and "cache_control" in get_type_hints(each)
        }

        assert takes == MARKABLE


def _type(typed_dict: Any) -> str:
    name: str = members_of(get_type_hints(typed_dict)["type"])[0].__args__[0]
    return name


def _only_in_answers(model: Any, accepted: Any) -> Iterator[tuple[str, set[str]]]:
    fields = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    taken = get_type_hints(accepted)
    if left := fields.keys() - taken.keys():
        yield type_of(model), left
    for name in fields.keys() & taken.keys():
        inner = {_type(each): each for each in _objects(taken[name]) if is_typeddict(each)}
        for each in _objects(fields[name]):
            # Definitions of tools that a compaction repeats have no `type` of one kind; they go back as they came.
            if hasattr(each, "model_fields") and "type" in each.model_fields and type_of(each) in inner:
                yield from _only_in_answers(each, inner[type_of(each)])


def _objects(kind: Any) -> list[Any]:
    found = []
    for member in members_of(kind):
        is_list = getattr(member, "__origin__", None) is not None and member.__args__
        found += _objects(member.__args__[0]) if is_list and "Literal" not in str(member) else [member]
    return [each for each in found if hasattr(each, "model_fields") or (is_typeddict(each) and _has_type(each))]


def _has_type(typed_dict: Any) -> bool:
    hint = get_type_hints(typed_dict).get("type")
    return hint is not None and bool(getattr(members_of(hint)[0], "__args__", ()))


class TestBreakpoints:
    def marked(self, *blocks: Json) -> list[Json]:
        history = (Turn(role="user", blocks=(text("Why?"),)), Turn(role="assistant", blocks=blocks))
        body = build(prepare(Prompt(model="claude-sonnet-5-5", history=history), KEY), None).body
        sent = [block for message in body["messages"] for block in message["content"]]
        return [block for block in sent if "cache_control" in block]

    def test_a_block_of_an_unknown_type_gets_none(self) -> None:
        assert [block["type"] for block in self.marked(text("Look:"), HOLOGRAM)] == ["text"]

    def test_a_search_result_gets_one(self) -> None:
        assert [block["type"] for block in self.marked(text("Look:"), CALL, FOUND)] == ["web_search_tool_result"]


NEW_CHAT = prepare(Prompt(model="claude-sonnet-5-5", system=(text("You help."),)), KEY)


class TestThePausedAnswerAsLastTurn:
    prompt = NEW_CHAT.with_turns(Turn(role="user", blocks=(text("?"),)), None)

    def test_it_ends_the_request_as_the_assistants_turn_with_a_breakpoint(self) -> None:
        request = build(self.prompt, Turn(role="assistant", blocks=(text("I look."), CALL)))

        question, paused = request.body["messages"]
        assert (question["role"], paused["role"]) == ("user", "assistant")
        assert "cache_control" in question["content"][-1]
        assert "cache_control" in paused["content"][-1]

    def test_the_hash_of_the_question_is_that_of_the_request_before(self) -> None:
        first = build(prepare(Prompt(model="claude-sonnet-5-5", system=(text("You help."),)), KEY), (text("?"),))

        second = build(self.prompt, Turn(role="assistant", blocks=(text("I look."),)))

        assert first.prefix.breakpoints[-1].prefix_hash == second.prefix.breakpoints[1].prefix_hash


class TestTheSharedHash:
    def hash_of(self, **changes: Any) -> str:
        prompt = Prompt(**{"model": "claude-sonnet-5-5", "system": (text("You help."),), **changes})
        return prepare(prompt, KEY).shared_hash

    def test_history_and_draft_do_not_change_it(self) -> None:
        cited = {"type": "document", "citations": {"enabled": True}, "source": {"type": "text", "data": "x"}}

        assert self.hash_of(history=(Turn(role="user", blocks=(cited,)),), draft=(cited,)) == self.hash_of()

    @pytest.mark.parametrize(
        "change",
        [
            {"model": "claude-opus-5-5"},
            {"system": (text("You do not."),)},
            {"tools": ({"name": "a"},)},
            {"effort": "low"},
        ],
        ids=["model", "instructions", "tools", "effort"],
    )
    def test_what_stands_before_the_history_does(self, change: dict[str, Any]) -> None:
        assert self.hash_of(**change) != self.hash_of()

    def test_so_does_another_provider_or_key(self) -> None:
        prompt = Prompt(model="claude-sonnet-5-5")

        other = prepare(prompt, PrefixKey(secret=b"test", upstream="http://other")).shared_hash

        assert prepare(prompt, KEY).shared_hash != other


class TestTheCollectedAnswer:
    def test_it_is_what_a_call_without_streaming_returns(self) -> None:
        answer = AnswerContent()
        for event in [
            BlockBegan(index=0, kind="thinking", block={"type": "thinking", "thinking": "", "signature": ""}),
            BlockDelta(index=0, kind="thinking", text="Hm."),
            BlockSigned(index=0, signature="c2ln"),
            BlockBegan(index=1, kind="tool_input", name="look_up", block={**TOOL, "caller": None}),
            BlockDelta(index=1, kind="tool_input", text='{"a":'),
            BlockDelta(index=1, kind="tool_input", text="[1.0]}"),
            BlockBegan(index=2, kind="text", block={"type": "text", "text": "So", "citations": None}),
            BlockDelta(index=2, kind="text", text=" be it."),
            BlockExtended(index=2, delta={"type": "citations_delta", "citation": {"cited_text": "x"}}),
            StreamEnded(stop_reason="tool_use", usage=Usage(), message={"container": {"id": "c_1"}}),
        ]:
            answer.take(event)

        assert answer.blocks() == [
            THOUGHT,
            {**TOOL, "caller": None, "input": {"a": [1.0]}},
            {"type": "text", "text": "So be it.", "citations": [{"cited_text": "x"}]},
        ]
        assert (len(answer), answer.message) == (3, {"container": {"id": "c_1"}})

    @pytest.mark.parametrize("torn", ["", "{", "[1]", "7", '{"a": NaN}', '{"a": 1e999}', "[" * 100_000])
    def test_input_that_is_not_a_whole_object_is_none(self, torn: str) -> None:
        assert parsed_input(torn) is None
