"""A prompt that grew is the prompt that was made in one go: same bytes, hashes, tokens; and only what is new costs."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmcache.core.prefix import (
    LOOK_BACK_POSITIONS,
    Json,
    Layer,
    PrefixKey,
    PreparedPrompt,
    Prompt,
    Request,
    Turn,
    build,
    build_request,
    prepare,
)
from warmcache.core.prompt import passages
from warmcache.testing import KEY

MODEL = "claude-sonnet-5-5"
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "sig"}
QUESTION: tuple[Json, ...] = ({"type": "text", "text": "And now?"},)


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def document(words: str, is_cited: bool) -> dict[str, Any]:
    source = {"type": "text", "media_type": "text/plain", "data": words}
    return {"type": "document", "source": source, **({"citations": {"enabled": True}} if is_cited else {})}


def tool_result(words: str, has_image: bool) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "t", "content": [text(words), *([IMAGE] if has_image else [])]}


words = st.text(max_size=12)
block = st.one_of(
    words.map(text),
    st.builds(document, words, st.booleans()),
    st.builds(tool_result, words, st.booleans()),
    st.sampled_from([IMAGE, THOUGHT, text("half \ud83d"), {"type": "tool_use", "id": "t", "input": {"b": 1, "a": 2}}]),
)
blocks = st.lists(block, max_size=3).map(tuple)
LONG_ANSWER = Turn(role="assistant", blocks=tuple(text(f"piece {n}") for n in range(LOOK_BACK_POSITIONS + 2)))
turn = st.one_of(
    st.builds(Turn, role=st.sampled_from(["user", "assistant"]), blocks=blocks),
    st.builds(Turn, role=st.sampled_from(["user", "assistant"]), blocks=blocks),
    st.just(LONG_ANSWER),
)
turns = st.lists(turn, max_size=6).map(tuple)
prompts = st.builds(
    Prompt,
    model=st.sampled_from([MODEL, "claude-haiku-4-5", "unheard-of"]),
    system=st.lists(words.map(text), max_size=3).map(tuple),
    tools=st.lists(words.map(lambda name: {"name": name, "input_schema": {"b": 1, "a": 2}}), max_size=2).map(tuple),
    history=turns,
    draft=blocks,
    shared_ttl=st.sampled_from(["auto", "5m", "1h"]),
    conversation_ttl=st.sampled_from(["auto", "5m", "1h"]),
    thinking=st.sampled_from([None, {"type": "adaptive", "display": "summarized"}]),
    effort=st.sampled_from([None, "low"]),
    output_format=st.sampled_from([None, {"type": "json_schema", "schema": {"b": {}, "a": {}}}]),
    tool_choice=st.sampled_from([None, {"type": "none"}]),
    speed=st.sampled_from([None, "fast"]),
    betas=st.sampled_from([(), ("b", "a")]),
)


def require_same(found: Request, expected: Request) -> None:
    assert found.encoded(max_tokens=5) == expected.encoded(max_tokens=5)
    assert (found.prefix, found.betas, found.is_sendable) == (expected.prefix, expected.betas, expected.is_sendable)


@given(prompts, st.one_of(st.none(), blocks), st.data())
def test_however_a_prompt_grew_it_is_built_as_if_made_in_one_go(
    prompt: Prompt, turn: tuple[Json, ...] | None, data: st.DataObject
) -> None:
    prepared = prepare(replace(prompt, history=(), draft=()), KEY)
    left = list(prompt.history)
    while left:
        if data.draw(st.booleans()):
            build(prepared.with_draft(data.draw(blocks)), data.draw(st.one_of(st.none(), blocks)))
        count = data.draw(st.integers(0, len(left)))
        prepared = prepared.with_turns(*left[:count])
        del left[:count]
        if not count:
            prepared = prepared.with_turns(left.pop(0))
        if data.draw(st.booleans()):
            build(prepared, data.draw(st.one_of(st.none(), blocks)))

    found = build(prepared.with_draft(prompt.draft), turn)

    require_same(found, build_request(prompt, turn, KEY))


@given(prompts, turns, blocks)
def test_what_grows_leaves_what_it_grew_from_as_it_was(prompt: Prompt, more: tuple[Turn, ...], draft: Any) -> None:
    prepared = prepare(prompt, KEY)

    build(prepared.with_turns(*more).with_draft(draft), QUESTION)

    require_same(build(prepared, QUESTION), build_request(prompt, QUESTION, KEY))


@given(prompts)
def test_with_another_key_everything_is_hashed_anew_and_nothing_else_changes(prompt: Prompt) -> None:
    other = PrefixKey(secret=b"other", upstream="http://other")
    prepared = prepare(prompt, KEY)
    build(prepared, None)

    require_same(build(prepared.with_key(other), None), build_request(prompt, None, other))


def test_turns_replace_the_draft_that_they_sent() -> None:
    drafted = prepare(Prompt(model=MODEL), KEY).with_draft((IMAGE,))

    grown = drafted.with_turns(Turn(role="user", blocks=(IMAGE, text("See?"))), Turn(role="assistant", blocks=()))

    assert build(grown, QUESTION).body["messages"] == [
        {"role": "user", "content": [IMAGE, {**text("See?"), "cache_control": _ephemeral()}, _marked(QUESTION[0])]}
    ]


def test_a_lifetime_that_is_chosen_later_changes_the_bytes_and_no_hash() -> None:
    prepared = prepare(Prompt(model=MODEL, system=(text("a"),), conversation_ttl="auto"), KEY)
    longer = replace(prepared, settings=replace(prepared.settings, conversation_ttl="1h"))

    short, long = build(prepared, QUESTION), build(longer, QUESTION)

    assert [p.prefix_hash for p in short.prefix.breakpoints] == [p.prefix_hash for p in long.prefix.breakpoints]
    assert [p.ttl_seconds for p in long.prefix.breakpoints] == [3600, 3600]
    assert long.body["system"][0]["cache_control"]["ttl"] == "1h"


def test_breakpoints_that_a_host_placed_are_not_sent() -> None:
    prompt = Prompt(model=MODEL, system=tuple({**text(str(n)), "cache_control": _ephemeral()} for n in range(5)))

    marked = [block for block in build_request(prompt, None, KEY).body["system"] if "cache_control" in block]

    assert marked == [{**text("4"), "cache_control": _ephemeral()}]


@dataclass(slots=True, kw_only=True)
class Work:
    encoded_bytes: int = 0
    hashed_bytes: int = 0


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """What was encoded and hashed since the test set its counters to nothing."""
    done = Work()
    encode, digest = passages.canonical_bytes, hmac.digest

    def counting_encode(value: Any) -> bytes:
        data = encode(value)
        done.encoded_bytes += len(data)
        return data

    def counting_digest(key: bytes, message: bytes, name: str) -> bytes:
        done.hashed_bytes += len(message)
        return digest(key, message, name)

    monkeypatch.setattr(passages, "canonical_bytes", counting_encode)
    monkeypatch.setattr("warmcache.core.prompt.prepared.canonical_bytes", counting_encode)
    monkeypatch.setattr("warmcache.core.prompt.prepared.hmac.digest", counting_digest)
    return done


def cost_of(work: Work, action: Callable[[], Any]) -> Work:
    work.encoded_bytes = work.hashed_bytes = 0
    action()
    return Work(encoded_bytes=work.encoded_bytes, hashed_bytes=work.hashed_bytes)


LARGE = Prompt(model=MODEL, system=tuple(text("A passage of a document. " * 2000) for _ in range(3)))
"""60,000 tokens."""
EXCHANGE = (Turn(role="user", blocks=(text("What?"),)), Turn(role="assistant", blocks=(text("That."),)))
FEW_BYTES = 500
"""A question and its scaffolding."""


class TestCosts:
    def grown(self, exchanges: int) -> PreparedPrompt:
        prepared = prepare(LARGE, KEY).with_turns(*(EXCHANGE * exchanges))
        build(prepared, None)
        return prepared

    @pytest.mark.parametrize("exchanges", [0, 500], ids=["no history", "a thousand messages"])
    def test_a_follow_up_pays_for_its_own_text_only(self, work: Work, exchanges: int) -> None:
        prepared = self.grown(exchanges)
        assert prepared.shared_size_bytes > 150_000

        cost = cost_of(work, lambda: build(prepared, QUESTION).encoded(max_tokens=1))

        assert 0 < cost.encoded_bytes < FEW_BYTES
        assert 0 < cost.hashed_bytes < FEW_BYTES

    def test_growing_pays_for_the_new_turns_only(self, work: Work) -> None:
        prepared = self.grown(500)

        cost = cost_of(work, lambda: build(prepared.with_turns(*EXCHANGE), None))

        assert 0 < cost.encoded_bytes < FEW_BYTES
        assert 0 < cost.hashed_bytes < FEW_BYTES

    def test_a_second_conversation_with_the_assistant_does_not_pay_for_it_again(self, work: Work) -> None:
        assistant = prepare(LARGE, KEY)
        first = assistant.with_turns(*EXCHANGE)
        build(first, None)

        second = cost_of(work, lambda: build(assistant.with_turns(*EXCHANGE, *EXCHANGE), None))

        assert second.encoded_bytes < FEW_BYTES
        assert second.hashed_bytes < 2 * FEW_BYTES
        assert first.shared is assistant.shared
        assert first.size_bytes < 2_000

    def test_the_first_image_costs_the_hashes_of_the_messages_but_no_encoding(self, work: Work) -> None:
        prepared = self.grown(500)

        cost = cost_of(work, lambda: build(prepared, (IMAGE, *QUESTION)))
        again = cost_of(work, lambda: build(prepared, (IMAGE, *QUESTION)))

        assert cost.encoded_bytes < FEW_BYTES < 50_000 < cost.hashed_bytes < 150_000
        assert again.hashed_bytes < FEW_BYTES

    def test_a_draft_is_encoded_and_hashed_once_for_the_warm_up_and_the_request(self, work: Work) -> None:
        drafted = self.grown(1).with_draft((document("attached " * 5000, is_cited=False),))
        build(drafted, None)

        cost = cost_of(work, lambda: build(drafted, QUESTION))

        assert cost.encoded_bytes < FEW_BYTES
        assert cost.hashed_bytes < FEW_BYTES


def _ephemeral() -> dict[str, str]:
    return {"type": "ephemeral", "ttl": "5m"}


def _marked(block: Json) -> dict[str, Any]:
    return {**block, "cache_control": _ephemeral()}


# Salts


def hashes_of(request: Request) -> dict[Layer, str]:
    return {point.layer: point.prefix_hash for point in request.prefix.breakpoints}


def test_people_with_different_salts_share_the_shared_layer_and_nothing_behind_it() -> None:
    turns = (Turn(role="user", blocks=(text("Why?"),)), Turn(role="assistant", blocks=(text("Because."),)))
    shared = prepare(Prompt(model=MODEL, system=(text("You help. " * 50),)), KEY)

    anns, bobs, anns_again = (
        hashes_of(build(shared.with_salt(salt).with_turns(*turns).with_draft([text("a file")]), [text("And?")]))
        for salt in ("ann", "bob", "ann")
    )

    assert anns == anns_again
    assert {layer for layer in Layer if anns[layer] == bobs[layer]} == {Layer.SHARED}


def test_a_salt_is_the_first_block_of_the_messages_and_carries_no_breakpoint() -> None:
    shared = prepare(Prompt(model=MODEL, system=(text("You help."),)), KEY)
    salted = shared.with_salt("salt")

    warm_up, request = build(salted, None), build(salted, [text("Hello")])

    assert [point.layer for point in warm_up.prefix.breakpoints] == [Layer.SHARED]
    assert hashes_of(warm_up) == hashes_of(build(shared, None))
    (message,) = request.body["messages"]
    assert [block["text"] for block in message["content"]] == ["salt", "Hello"]
    assert "cache_control" not in message["content"][0]


def test_a_salt_stands_before_the_history() -> None:
    prompt = prepare(Prompt(model=MODEL, history=(Turn(role="user", blocks=(text("Why?"),)),)), KEY)

    with pytest.raises(ValueError, match="before the history"):
        prompt.with_salt("salt")
