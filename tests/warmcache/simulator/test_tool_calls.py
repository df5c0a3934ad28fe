"""What the simulated model calls of itself: only what the question names, by a plain rule."""

from typing import Any

import pytest

from warmcache.simulator.tool_calls import quoted_results, wanted_calls

Json = dict[str, Any]


def tool(name: str, *required: str) -> Json:
    properties = {"query": {"type": "string"}, "zone": {"type": "string"}}
    return {"name": name, "input_schema": {"type": "object", "properties": properties, "required": list(required)}}


TOOLS = [tool("look_up", "query"), tool("clock"), tool("give_answer", "query", "zone")]


def body(question: str, *later: Json, **more: Any) -> Json:
    return {"tools": TOOLS, "messages": [{"role": "user", "content": question}, *later], **more}


def called(*names: str) -> Json:
    calls = [{"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": {}} for name in names]
    return {"role": "assistant", "content": calls}


def answered(*names: str) -> Json:
    results = [{"type": "tool_result", "tool_use_id": f"toolu_{name}", "content": f"of {name}"} for name in names]
    return {"role": "user", "content": results}


def wanted(body: Json, question: str) -> list[tuple[str, Any]]:
    return [(each.tool["name"], each.input) for each in wanted_calls(body, question)]


@pytest.mark.parametrize(
    ("question", "calls"),
    [
        ("How warm is it?", []),
        ("Look up: ships, please", [("look_up", {"query": "ships"})]),
        ("look_up `a, b` and the clock", [("look_up", {"query": "a, b"}), ("clock", {})]),
        ("The clock, and look up: 1 and 2", [("clock", {}), ("look_up", {"query": "1"})]),
        ("Please look up ships", [("look_up", {"query": "Please look up ships"})]),
        ("clockwork", []),
        ("Clock, then look up: ships", [("clock", {})]),
    ],
)
def test_a_tool_is_called_where_the_question_names_it(question: str, calls: list[tuple[str, Any]]) -> None:
    assert wanted(body(question), question) == calls


def test_what_comes_then_is_called_after_the_first_results() -> None:
    question = "Clock, then look up: ships"
    later = [called("clock"), answered("clock")]

    assert wanted(body(question, *later), question) == [("look_up", {"query": "ships"})]
    later += [called("look_up"), answered("look_up")]
    assert wanted(body(question, *later), question) == []
    assert quoted_results(body(question, *later)) == ["`clock` answered: of clock", "`look_up` answered: of look_up"]


def test_the_tool_that_the_system_prompt_quotes_takes_the_answer_once() -> None:
    system = [{"type": "text", "text": "Answer by `give_answer`."}]
    question = "Clock!"
    later = [called("clock"), answered("clock")]

    assert wanted(body(question, system=system), question) == [("clock", {})]
    taken = wanted(body(question, *later, system=system), question)
    assert taken == [("give_answer", {"query": "Clock!", "zone": "Clock!"})]
    later += [called("give_answer"), answered("give_answer")]
    assert wanted(body(question, *later, system=system), question) == []


def test_a_tool_of_the_provider_or_a_choice_of_none_calls_nothing() -> None:
    question = "Web search and clock"
    web = {"type": "web_search_20250305", "name": "web_search"}

    assert wanted({**body(question), "tools": [web]}, question) == []
    assert wanted(body(question, tool_choice={"type": "none"}), question) == []
