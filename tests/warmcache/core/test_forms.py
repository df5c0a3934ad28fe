"""The forms in which hosts write content, and what is refused of it in a sentence."""

from typing import Any

import anthropic.types
import pytest

from warmcache.core.prefix import PrefixKey, Prompt, Request, Turn, build_request

KEY = PrefixKey(secret=b"test", upstream="test")
TEXT = {"type": "text", "text": "The handbook."}


def built(turn: Any = "How?", **fields: Any) -> Request:
    return build_request(Prompt(**{"model": "claude-sonnet-5-5", **fields}), turn, KEY)


@pytest.mark.parametrize(
    "system",
    ["The handbook.", [TEXT], [{**TEXT, "cache_control": {"type": "ephemeral"}}], [anthropic.types.TextBlock(**TEXT)]],
)
def test_the_sdks_forms_of_a_system_prompt_are_the_same_bytes(system: Any) -> None:
    assert built(system=system).encoded() == built(system=(TEXT,)).encoded()


def test_no_system_prompt_is_no_block() -> None:
    assert built(system="").encoded() == built().encoded()


@pytest.mark.parametrize("content", ["Hello", [{"type": "text", "text": "Hello"}]])
def test_the_sdks_messages_are_a_history(content: Any) -> None:
    said = {"type": "text", "text": "Good day."}
    ours = (Turn(role="user", blocks=({"type": "text", "text": "Hello"},)), Turn(role="assistant", blocks=(said,)))

    found = built(history=[{"role": "user", "content": content}, {"role": "assistant", "content": [said]}])

    assert found.encoded() == built(history=ours).encoded()


@pytest.mark.parametrize("turn", ["How?", {"role": "user", "content": "How?"}, Turn(role="user", blocks="How?")])
def test_a_turn_may_be_a_text_or_a_message(turn: Any) -> None:
    assert built(turn).encoded() == built(({"type": "text", "text": "How?"},)).encoded()


def test_extra_members_of_the_body_are_in_every_hash() -> None:
    plain, more = built(system="Rules."), built(system="Rules.", extra_body={"inference_geo": "eu"})

    assert more.body["inference_geo"] == "eu"
    assert set(more.prefix.hashes).isdisjoint(plain.prefix.hashes)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"system": {"type": "text", "text": "one"}}, "system is a text or a list of content blocks, not one dict"),
        ({"system": ["a text in a list"]}, "each block of system is a dict, not str"),
        ({"system": None}, "not one NoneType"),
        ({"tools": {"name": "search"}}, "tools is a list of tool definitions"),
        ({"history": [{"content": "Hello"}]}, "has a role, user or assistant, and a content"),
        ({"history": ["Hello"]}, "each message of history is a dict, not str"),
        ({"model": "m" * 81}, "at most 80 characters"),
        ({"model": None}, "A model is a name"),
        ({"extra_body": {"system": "other"}}, "extra_body may not set `system`"),
        ({"extra_body": {"temperature": 1}}, "`temperature` is not sent: this version of the Messages API refuses"),
    ],
)
def test_what_cannot_be_sent_is_refused_in_a_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        built(**fields)
