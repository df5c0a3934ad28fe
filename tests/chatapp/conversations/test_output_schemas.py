"""The schema of a structured answer: what an operator may write, and whether an answer fits."""

from typing import Any

import pytest

from chatapp.conversations.output_schemas import MAX_BYTES, problem_of_answer, problem_of_schema

Json = dict[str, Any]


def closed(**properties: Any) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def deep(levels: int) -> Json:
    return closed(inner=deep(levels - 1)) if levels else {"type": "string"}


CITY = closed(city={"type": "string"}, days={"type": "array", "items": closed(degrees={"type": "integer"})})


@pytest.mark.parametrize("schema", [CITY, {**closed(a={"$ref": "#/$defs/b"}), "$defs": {"b": closed()}}, deep(8)])
def test_a_closed_object_may_be_an_answer(schema: Json) -> None:
    assert problem_of_schema(schema) is None


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ([], "a JSON object"),
        ({"type": "array"}, "must be an object"),
        ({"type": "object"}, 'the schema: an object needs "additionalProperties": false'),
        (closed(a={"type": "object"}), "the schema, a: an object needs"),
        (closed(a={"anyOf": [{"type": ["object", "null"]}]}), "the schema, a, anyOf: an object needs"),
        (closed(a={"type": "strange"}), "no JSON schema"),
        (closed(a={"$ref": "https://a.example/schema"}), "$ref may only name a part"),
        (closed(a={"type": "string", "description": "x" * MAX_BYTES}), "at most 32 KB"),
        (deep(40), "levels deep"),
    ],
)
def test_what_a_strict_tool_would_refuse_is_refused_in_words(schema: Any, words: str) -> None:
    assert words in (problem_of_schema(schema) or "")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"city": "Rome", "days": [{"degrees": 20}]}, None),
        ({"city": "Rome"}, "'days' is a required property"),
        ({"city": "Rome", "days": [{"degrees": "warm"}]}, "days/0/degrees: 'warm' is not of type 'integer'"),
        ("Rome", "The answer: 'Rome' is not of type 'object'"),
    ],
)
def test_an_answer_fits_or_the_model_is_told_where_it_does_not(answer: Any, words: str | None) -> None:
    assert problem_of_answer(CITY, answer) == words or (words and words in (problem_of_answer(CITY, answer) or ""))


def test_no_expression_of_a_schema_is_run_and_nothing_is_fetched() -> None:
    schema = closed(a={"type": "string", "pattern": "(a+)+$"}, b={"$ref": "https://a.example/schema"})

    assert problem_of_answer(closed(a=schema["properties"]["a"]), {"a": "a" * 50 + "!"}) is None
    assert "does not have" in (problem_of_answer(schema, {"a": "a", "b": 1}) or "")
