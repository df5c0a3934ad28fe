"""What a model is told of a tool of another server."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.tool_servers.definitions import MAX_SENT_NAME_CHARS, defined, sent_name

OBJECT = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}


def test_the_order_of_members_is_chance_and_everything_else_counts() -> None:
    first = defined("add", "Adds.", OBJECT)
    turned = defined("add", "Adds.", dict(reversed(OBJECT.items())))
    others = [
        defined("add", "Adds!", OBJECT),
        defined("sum", "Adds.", OBJECT),
        defined("add", "Adds.", {"type": "object"}),
    ]

    assert (first.digest, str(first.definition)) == (turned.digest, str(turned.definition))
    assert len({first.digest, *(each.digest for each in others)}) == 4


@pytest.mark.parametrize(
    ("name", "description", "schema"),
    [
        ("", None, OBJECT),
        ("a" * 201, None, OBJECT),
        ("a", "x" * 4001, OBJECT),
        ("a", None, {"type": "string"}),
        ("a", None, {}),
        ("a", None, {"type": "object", "description": "x" * 20_000}),
        ("a", "nul \0", OBJECT),
        ("a", None, {"type": "object", "\ud800": 1}),
    ],
)
def test_a_definition_that_no_prompt_should_hold_is_refused_in_a_sentence(name, description, schema) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        defined(name, description, schema)


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=200))
def test_any_name_becomes_one_that_the_api_takes_and_two_never_the_same(one: str, other: str) -> None:
    first = sent_name("words", one)
    second = sent_name("words", other, taken={first})

    assert re.fullmatch(r"words__[a-zA-Z0-9_-]+", first)
    assert len(first) <= MAX_SENT_NAME_CHARS
    assert (first == second) == (one == other and first != f"words__{one}")


def test_a_plain_name_stays_as_it_is() -> None:
    assert sent_name("words", "look_up") == "words__look_up"
    assert sent_name("words", "files/read").startswith("words__files_read_")
