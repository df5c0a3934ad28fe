"""Where breakpoints stand, and when hashes change: compared as the provider's rules have it, not as the code does."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmcache.core.prefix import (
    PLACEHOLDER_TEXT,
    Layer,
    PrefixKey,
    Prompt,
    Request,
    Turn,
    build_request,
    obstacle_to_prewarming,
)
from warmcache.testing import KEY, make_prefix, make_prompt

MODEL = "claude-sonnet-5-5"
TOOL = {"name": "search", "description": "Searches.", "input_schema": {"type": "object", "properties": {}}}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "sig"}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def document(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": words}, **more}


def user(*blocks: dict[str, Any]) -> Turn:
    return Turn(role="user", blocks=blocks)


def assistant(*blocks: dict[str, Any]) -> Turn:
    return Turn(role="assistant", blocks=blocks)


FULL = Prompt(
    model=MODEL,
    system=(text("Be brief."), text("Document one.")),
    tools=(TOOL,),
    history=(user(text("Hi")), assistant(text("Hello"))),
    draft=(document("attached"),),
)
TURN = (text("What is it?"),)


def built(prompt: Prompt = FULL, turn: tuple[dict[str, Any], ...] | None = TURN, key: PrefixKey = KEY) -> Request:
    return build_request(prompt, turn, key)


def hashes(
    prompt: Prompt = FULL, key: PrefixKey = KEY, turn: tuple[dict[str, Any], ...] | None = TURN
) -> dict[str, str]:
    return {str(point.layer): point.prefix_hash for point in built(prompt, turn, key).prefix.breakpoints}


def changed_layers(prompt: Prompt, key: PrefixKey = KEY, turn: tuple[dict[str, Any], ...] = TURN) -> list[str]:
    before, after = hashes(), hashes(prompt, key, turn)
    assert list(before) == list(after)
    return [layer for layer in before if before[layer] != after[layer]]


def marked(request: Request) -> list[tuple[str, str]]:
    """(where, ttl) of every block that carries a breakpoint, in the provider's order."""
    body = request.body
    found = [("tools", b) for b in body.get("tools", [])] + [("system", b) for b in body.get("system", [])]
    found += [(f"messages.{n}", b) for n, m in enumerate(body["messages"]) for b in m["content"]]
    return [(where, block["cache_control"]["ttl"]) for where, block in found if "cache_control" in block]


class TestBreakpoints:
    def test_a_full_prompt_has_four_in_the_order_of_the_layers(self) -> None:
        request = built()

        assert [point.layer for point in request.prefix.breakpoints] == ["shared", "conversation", "draft", "turn"]
        assert [where for where, _ in marked(request)] == ["system", "messages.1", "messages.2", "messages.2"]

    def test_each_stands_on_the_last_block_of_its_layer(self) -> None:
        body = built().body

        assert "cache_control" not in body["system"][0]
        assert body["system"][1]["cache_control"] == {"type": "ephemeral", "ttl": "5m"}

    def test_a_warm_up_has_none_on_its_placeholder(self) -> None:
        request = built(turn=None)

        last = request.body["messages"][-1]["content"][-1]
        assert last == text(PLACEHOLDER_TEXT)
        assert [point.layer for point in request.prefix.breakpoints] == ["shared", "conversation", "draft"]

    def test_tools_alone_carry_the_shared_layer(self) -> None:
        request = built(Prompt(model=MODEL, tools=(TOOL,)))

        assert [where for where, _ in marked(request)] == ["tools", "messages.0"]

    @pytest.mark.parametrize("unmarkable", [text("  \n"), THOUGHT, {"type": "redacted_thinking", "data": "x"}])
    def test_it_never_stands_on_blank_text_or_thinking(self, unmarkable: dict[str, Any]) -> None:
        prompt = Prompt(model=MODEL, history=(user(text("Hi")), assistant(text("Hello"), unmarkable)))

        body = built(prompt, None).body

        assert "cache_control" in body["messages"][1]["content"][0]
        assert "cache_control" not in body["messages"][1]["content"][1]

    def test_a_history_that_cannot_carry_one_leaves_the_shared_layer_as_the_deepest(self) -> None:
        prompt = Prompt(model=MODEL, system=(text("Be brief."),), history=(user(text("  ")), assistant(THOUGHT)))

        assert [point.layer for point in built(prompt, None).prefix.breakpoints] == ["shared"]

    def test_a_turn_of_blank_text_gets_none(self) -> None:
        assert "turn" not in hashes(turn=(text(" "),))

    def test_a_prompt_of_nothing_has_none(self) -> None:
        prefix = built(Prompt(model=MODEL), None).prefix

        assert (prefix.breakpoints, prefix.deepest, prefix.prefix_tokens, prefix.hashes) == ((), None, 0, ())

    @pytest.mark.parametrize(
        ("shared", "conversation", "expected"),
        [
            ("5m", "5m", ["5m"] * 4),
            ("1h", "5m", ["1h", "5m", "5m", "5m"]),
            ("5m", "1h", ["1h"] * 4),
            ("1h", "1h", ["1h"] * 4),
        ],
    )
    def test_a_longer_ttl_never_follows_a_shorter_one(
        self, shared: str, conversation: str, expected: list[str]
    ) -> None:
        prompt = replace(FULL, shared_ttl=shared, conversation_ttl=conversation)  # type: ignore[arg-type]

        assert [ttl for _, ttl in marked(built(prompt))] == expected

    def test_the_shared_ttl_is_the_same_for_a_new_chat_and_for_a_long_one(self) -> None:
        prompt = replace(FULL, shared_ttl="5m", conversation_ttl="1h")

        new_chat = built(replace(prompt, history=(), draft=()), None)

        assert new_chat.prefix.breakpoints[0].ttl_seconds == built(prompt).prefix.breakpoints[0].ttl_seconds == 3600

    def test_look_back_begins_with_the_breakpoint_and_ends_after_twenty_positions(self) -> None:
        prompt = Prompt(model=MODEL, system=tuple(text(f"block {n}") for n in range(30)))

        point = built(prompt, None).prefix.breakpoints[0]

        assert len(point.look_back) == 20
        assert point.look_back[0].prefix_hash == point.prefix_hash
        tokens = [position.prefix_tokens for position in point.look_back]
        assert tokens == sorted(tokens, reverse=True)


class TestAnswersOfManyBlocks:
    """An answer with tools or citations has many blocks; the last request's entry ends before it, at the question."""

    @staticmethod
    def prompt(blocks: int, **changes: Any) -> Prompt:
        pieces = tuple(text(f"piece {n}") for n in range(blocks))
        return Prompt(
            model=MODEL,
            system=(text("Be brief."),),
            history=(user(text("Why?")), Turn(role="assistant", blocks=pieces)),
            **changes,
        )

    @pytest.mark.parametrize(("blocks", "marks"), [(19, [19]), (20, [0, 20]), (60, [0, 60])])
    def test_one_more_stands_on_the_question_where_a_search_from_the_end_does_not_reach_it(
        self, blocks: int, marks: list[int]
    ) -> None:
        request = built(self.prompt(blocks), (text("And now?"),))

        said = [block for message in request.body["messages"] for block in message["content"]]
        assert [n for n, block in enumerate(said[:-1]) if "cache_control" in block] == marks
        assert len(marked(request)) == len(marks) + 2

    def test_what_the_last_request_wrote_is_found_from_there(self) -> None:
        before = built(Prompt(model=MODEL, system=(text("Be brief."),)), (text("Why?"),)).prefix

        for turn in (None, (text("And now?"),)):
            after = built(self.prompt(60), turn).prefix

            assert before.breakpoints[-1].prefix_hash in after.hashes
            assert len(after.hashes) == len({*after.hashes})
            assert [point.layer for point in after.breakpoints[:2]] == ["shared", "conversation"]

    def test_a_draft_leaves_no_room_for_it_in_the_warm_up_as_in_the_request(self) -> None:
        prompt = self.prompt(60, draft=(IMAGE,))

        assert len(marked(built(prompt, (text("And now?"),)))) == 4
        assert len(marked(built(prompt, None))) == 3

    def test_a_warm_up_marks_the_same_blocks_as_its_request(self) -> None:
        warm_up, request = built(self.prompt(60), None), built(self.prompt(60), (text("And now?"),))

        assert marked(warm_up) == marked(request)[:-1]
        assert list(warm_up.prefix.breakpoints) == list(request.prefix.breakpoints)[:-1]


class TestTurns:
    def test_a_stopped_reply_leaves_two_turns_of_the_person_that_are_sent_as_one(self) -> None:
        prompt = Prompt(model=MODEL, history=(user(text("Hi")), user(text("Are you there?"))))

        roles = [message["role"] for message in built(prompt).body["messages"]]

        assert roles == ["user"]

    def test_the_placeholder_joins_an_open_turn_behind_the_breakpoint(self) -> None:
        prompt = Prompt(model=MODEL, history=(user(text("Hi")), assistant(text("He")), user(text("Go on"))))

        content = built(prompt, None).body["messages"][-1]["content"]

        assert [("cache_control" in block, block["text"]) for block in content] == [
            (True, "Go on"),
            (False, PLACEHOLDER_TEXT),
        ]

    def test_merged_or_apart_the_hash_is_the_same_as_the_provider_merges_too(self) -> None:
        apart = Prompt(model=MODEL, history=(user(text("a")), user(text("b"))))
        merged = Prompt(model=MODEL, history=(user(text("a"), text("b")),))

        assert hashes(apart) == hashes(merged)

    def test_a_turn_without_blocks_is_not_sent(self) -> None:
        prompt = Prompt(model=MODEL, history=(user(text("Hi")), assistant(), user(text("Hello?"))))

        assert len(built(prompt).body["messages"]) == 1


class TestHashes:
    @pytest.mark.parametrize(
        ("change", "layers"),
        [
            ({"model": "claude-opus-5-5"}, ["shared", "conversation", "draft", "turn"]),
            ({"tools": ({**TOOL, "description": "Finds."},)}, ["shared", "conversation", "draft", "turn"]),
            ({"system": (text("Be brief!"), text("Document one."))}, ["shared", "conversation", "draft", "turn"]),
            ({"thinking": {"type": "adaptive"}}, ["shared", "conversation", "draft", "turn"]),
            ({"effort": "low"}, ["shared", "conversation", "draft", "turn"]),
            ({"speed": "fast"}, ["shared", "conversation", "draft", "turn"]),
            ({"betas": ("some-beta",)}, ["shared", "conversation", "draft", "turn"]),
            ({"output_format": {"type": "json_schema", "schema": {}}}, ["shared", "conversation", "draft", "turn"]),
            ({"tool_choice": {"type": "none"}}, ["conversation", "draft", "turn"]),
            ({"history": (user(text("Hi")), assistant(text("Hello!")))}, ["conversation", "draft", "turn"]),
            ({"draft": (document("other"),)}, ["draft", "turn"]),
            ({"draft": (document("attached"), IMAGE)}, ["conversation", "draft", "turn"]),
            (
                {"draft": (document("attached", citations={"enabled": True}),)},
                ["shared", "conversation", "draft", "turn"],
            ),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_a_change_reaches_its_own_layer_and_all_behind_it(self, change: dict[str, Any], layers: list[str]) -> None:
        assert changed_layers(replace(FULL, **change)) == layers

    @pytest.mark.parametrize(
        ("turn", "layers"),
        [
            ((text("Other?"),), ["turn"]),
            ((IMAGE, text("What is it?")), ["conversation", "draft", "turn"]),
            (
                (document("x", citations={"enabled": True}), text("What is it?")),
                ["shared", "conversation", "draft", "turn"],
            ),
        ],
        ids=["words", "image", "citations"],
    )
    def test_what_the_person_sends_changes_only_what_the_provider_says_it_does(
        self, turn: tuple[dict[str, Any], ...], layers: list[str]
    ) -> None:
        assert changed_layers(FULL, turn=turn) == layers

    @pytest.mark.parametrize(
        "key",
        [PrefixKey(secret=b"other", upstream=KEY.upstream), PrefixKey(secret=KEY.secret, upstream="http://other")],
    )
    def test_another_secret_or_another_upstream_shares_nothing(self, key: PrefixKey) -> None:
        assert changed_layers(FULL, key) == ["shared", "conversation", "draft", "turn"]

    @pytest.mark.parametrize("change", [{"shared_ttl": "1h"}, {"conversation_ttl": "1h"}])
    def test_a_ttl_is_no_part_of_what_is_hashed(self, change: dict[str, str]) -> None:
        assert changed_layers(replace(FULL, **change)) == []  # type: ignore[arg-type]

    def test_an_image_inside_a_tool_result_counts_as_an_image(self) -> None:
        call = assistant({"type": "tool_use", "id": "t1", "name": "search", "input": {}})
        with_text = user({"type": "tool_result", "tool_use_id": "t1", "content": [text("found")]})
        with_image = user({"type": "tool_result", "tool_use_id": "t1", "content": [IMAGE]})
        first = replace(FULL, history=(user(text("Hi")), call, with_text))
        second = replace(FULL, history=(user(text("Hi")), call, with_text, call, with_image))

        # The second history begins as the first: only the image keeps its earlier positions from matching.
        assert not set(built(first).prefix.breakpoints[1].look_back[:1]) & set(
            built(second).prefix.breakpoints[1].look_back
        )

    def test_the_order_of_betas_does_not_matter(self) -> None:
        assert hashes(replace(FULL, betas=("a", "b"))) == hashes(replace(FULL, betas=("b", "a")))

    def test_a_block_cannot_move_between_layers_unseen(self) -> None:
        in_system = Prompt(model=MODEL, system=(text("a"), text("b")))
        in_history = Prompt(model=MODEL, system=(text("a"),), history=(user(text("b")),))

        assert not set(built(in_system, None).prefix.hashes[:1]) & set(built(in_history, None).prefix.hashes)

    def test_the_next_prompt_finds_what_this_request_wrote(self) -> None:
        request = built()
        grown = replace(FULL, history=(*FULL.history, user(*FULL.draft, *TURN), assistant(text("A file."))), draft=())

        next_prefix = built(grown, None).prefix

        assert request.prefix.breakpoints[-1].prefix_hash in next_prefix.hashes


json_leaf = st.one_of(st.booleans(), st.integers(-9, 9), st.text(max_size=8))
words = st.text(min_size=1, max_size=12).filter(lambda value: bool(value.strip()))
schema = st.dictionaries(words, json_leaf, max_size=4)
tool = st.builds(
    lambda name, properties: {"name": name, "input_schema": {"type": "object", "properties": properties}}, words, schema
)
block = st.one_of(words.map(text), words.map(document), st.just(IMAGE))
history = st.lists(
    st.builds(
        Turn, role=st.sampled_from(["user", "assistant"]), blocks=st.lists(words.map(text), max_size=3).map(tuple)
    ),
    max_size=5,
)
prompts = st.builds(
    Prompt,
    model=st.sampled_from(["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-4-5"]),
    system=st.lists(words.map(text), max_size=3).map(tuple),
    tools=st.lists(tool, max_size=2).map(tuple),
    history=history.map(tuple),
    draft=st.lists(block, max_size=2).map(tuple),
    shared_ttl=st.sampled_from(["5m", "1h"]),
    conversation_ttl=st.sampled_from(["5m", "1h"]),
    thinking=st.sampled_from([None, {"type": "adaptive"}, {"type": "disabled"}]),
    effort=st.sampled_from([None, "low", "high"]),
    betas=st.lists(words, max_size=2, unique=True).map(tuple),
)
ORDER = ["shared", "conversation", "draft", "turn"]


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shuffled(value[name]) for name in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(prompts, words)
def test_at_most_four_blocks_are_marked_and_as_many_as_there_are_breakpoints(prompt: Prompt, question: str) -> None:
    request = built(prompt, (text(question),))

    assert len(marked(request)) == len(request.prefix.breakpoints) <= 4
    ttls = [ttl for _, ttl in marked(request)]
    assert ttls == sorted(ttls, key=["1h", "5m"].index)


@given(prompts, words)
def test_a_warm_up_and_its_request_are_one_body_up_to_the_last_shared_breakpoint(prompt: Prompt, question: str) -> None:
    warm_up, request = built(prompt, None), built(prompt, (text(question),))

    shared = [point for point in request.prefix.breakpoints if point.layer is not Layer.TURN]
    assert list(warm_up.prefix.breakpoints) == shared
    for name in warm_up.body:
        if name != "messages":
            assert json.dumps(warm_up.body[name]) == json.dumps(request.body[name])
    warmed = [block for message in warm_up.body["messages"] for block in message["content"]]
    sent = [block for message in request.body["messages"] for block in message["content"]]
    assert warmed[:-1] == sent[: len(warmed) - 1]


@given(prompts)
def test_the_order_of_keys_changes_neither_hash_nor_bytes(prompt: Prompt) -> None:
    other = replace(
        prompt,
        tools=tuple(shuffled(dict(tool)) for tool in prompt.tools),
        system=tuple(shuffled(dict(block)) for block in prompt.system),
    )

    assert built(other).prefix == built(prompt).prefix
    assert json.dumps(built(other).body) == json.dumps(built(prompt).body)


@given(prompts)
def test_what_the_host_gave_is_left_as_it_was(prompt: Prompt) -> None:
    before = copy.deepcopy(prompt)

    first = built(prompt)

    assert prompt == before
    assert built(prompt).body == first.body


@given(prompts, st.sampled_from(["tools", "system", "history", "draft"]), words, st.data())
def test_any_edit_changes_its_layer_and_all_behind_it_and_none_before(
    prompt: Prompt, part: str, edit: str, data: st.DataObject
) -> None:
    items = list(getattr(prompt, part))
    if not items:
        return
    index = data.draw(st.integers(0, len(items) - 1))
    items[index] = _edited(items[index], edit)
    edited = replace(prompt, **{part: tuple(items)})

    before, after = hashes(prompt), hashes(edited)

    own = {"tools": "shared", "system": "shared", "history": "conversation", "draft": "draft"}[part]
    for layer in before.keys() & after.keys():
        is_behind = ORDER.index(layer) >= ORDER.index(own)
        assert (before[layer] != after[layer]) == is_behind, layer


def _edited(item: Any, edit: str) -> Any:
    if isinstance(item, Turn):
        return replace(item, blocks=(*item.blocks, text(edit)))
    if "text" in item:
        return {**item, "text": item["text"] + edit}
    if item.get("type") == "image":
        return {**item, "source": {**item["source"], "data": item["source"]["data"] + edit}}
    if item.get("type") == "document":
        return {**item, "title": edit}
    return {**item, "description": edit}


@pytest.mark.parametrize(
    ("change", "obstacle"),
    [
        ({}, None),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "manual_thinking"),
        ({"output_format": {"type": "json_schema", "schema": {}}}, "structured_output"),
        ({"tool_choice": {"type": "any"}}, "forced_tool_choice"),
        ({"tool_choice": {"type": "tool", "name": "search"}}, "forced_tool_choice"),
        ({"tool_choice": {"type": "auto"}}, None),
    ],
)
def test_what_the_api_refuses_to_warm_is_known_before(change: dict[str, Any], obstacle: str | None) -> None:
    assert obstacle_to_prewarming(replace(FULL, **change)) == obstacle


class TestEstimates:
    def test_text_is_counted_by_the_models_characters_per_token(self) -> None:
        assert make_prefix(system_tokens=4000).prefix_tokens == pytest.approx(4000, rel=0.01)

    def test_tools_bring_their_hidden_prompt(self) -> None:
        with_tool = make_prefix(make_prompt(tools=(TOOL,))).prefix_tokens

        assert with_tool - make_prefix(make_prompt()).prefix_tokens > 286

    @pytest.mark.parametrize("kind", ["image", "document"])
    def test_the_bytes_of_a_picture_or_a_file_are_not_counted_as_text(self, kind: str) -> None:
        large = {"type": kind, "source": {"type": "base64", "media_type": "x", "data": "A" * 4_000_000}}

        tokens = make_prefix(make_prompt(system_tokens=0, draft=(large,))).prefix_tokens

        assert 1000 < tokens < 5000

    def test_a_text_document_in_another_script_is_counted_in_characters_not_in_bytes(self) -> None:
        cyrillic = make_prefix(make_prompt(system_tokens=0, draft=(document("ы" * 10_000),))).prefix_tokens
        latin = make_prefix(make_prompt(system_tokens=0, draft=(document("y" * 10_000),))).prefix_tokens

        assert latin < cyrillic < 2 * latin

    def test_each_position_is_estimated_from_the_very_start(self) -> None:
        tokens = [point.prefix_tokens for point in make_prefix(turns=2, draft_tokens=500).breakpoints]

        assert tokens == sorted(tokens)
        assert tokens[1] - tokens[0] == pytest.approx(2000, rel=0.06)
