"""When a reply goes on after an answer: bounded in calls, in requests and in seconds."""

from typing import Any

import pytest

from chatapp.conversations.toolbox import NO_TOOLS, Toolbox
from chatapp.replies.tools.calls import MAX_CALLS
from chatapp.replies.tools.loop import END, LAST_REQUEST, MAX_SECONDS, ToolLoop

Json = dict[str, Any]
CALCULATOR = Toolbox(own=frozenset({"calculator"}))
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
STRUCTURED = Toolbox(own=frozenset({"calculator"}), output_schema=SCHEMA)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def call(name: str = "calculator", id_: str = "toolu_1", **given: Any) -> Json:
    return {"type": "tool_use", "id": id_, "name": name, "input": given or {"expression": "6 * 7"}}


def text(value: str) -> Json:
    return {"type": "text", "text": value}


@pytest.mark.parametrize(
    ("toolbox", "stop_reason", "concerns"),
    [
        (NO_TOOLS, "tool_use", False),
        (NO_TOOLS, "end_turn", False),
        (CALCULATOR, "tool_use", True),
        (CALCULATOR, "end_turn", False),
        (STRUCTURED, "end_turn", True),
        (STRUCTURED, "max_tokens", False),
        (STRUCTURED, "refusal", False),
        (STRUCTURED, None, False),
    ],
)
def test_only_answers_that_want_something_are_looked_at(toolbox: Toolbox, stop_reason: str | None, concerns: bool):
    assert ToolLoop(toolbox).concerns(stop_reason) is concerns


async def test_no_more_calls_than_a_few_are_run_of_one_answer():
    loop = ToolLoop(CALCULATOR)
    said = [call(id_=f"toolu_{number}") for number in range(MAX_CALLS + 2)]

    step = await loop.after(said, has_room=True)
    results = await loop.run(step.calls, is_last=False)

    assert step.goes_on
    assert [result["tool_use_id"] for result in results] == [each["id"] for each in said]
    assert [result.get("is_error", False) for result in results] == [False] * MAX_CALLS + [True, True]


async def test_after_some_minutes_there_is_one_more_request_and_the_model_is_told():
    clock = Clock()
    loop = ToolLoop(CALCULATOR, clock=clock)
    in_time = await loop.run((await loop.after([call()], has_room=True)).calls, is_last=False)
    clock.now += MAX_SECONDS + 1

    late = await loop.run((await loop.after([call()], has_room=True)).calls, is_last=False)

    assert [block["type"] for block in in_time] == ["tool_result"]
    assert late[-1] == {"type": "chat.note", "text": LAST_REQUEST}
    assert await loop.after([call()], has_room=True) == END


async def test_without_room_for_a_request_nothing_is_run():
    assert await ToolLoop(CALCULATOR).after([call()], has_room=False) == END


@pytest.mark.parametrize(
    ("said", "added"),
    [
        ('{"a": 1}', {"type": "chat.answer", "answer": {"a": 1}}),
        ('Here it is:\n```json\n{"a": 1}\n```\nDone.', {"type": "chat.answer", "answer": {"a": 1}}),
        ('{"a": "one"}', None),
        ("[1]", None),
        ("{" * 50_000, None),
        ("It is one.", None),
    ],
)
async def test_an_answer_in_the_text_is_found_if_it_fits(said: str, added: Json | None):
    step = await ToolLoop(STRUCTURED).after([text(said)], has_room=False)

    assert list(step.added) == ([added] if added else [])
    assert not step.goes_on


async def test_the_answer_ends_the_reply_and_other_calls_of_its_turn_are_not_run():
    said = [call(), call("structured_answer", "toolu_2", a=1)]

    step = await ToolLoop(STRUCTURED).after(said, has_room=True)

    assert not step.goes_on
    assert not step.calls
    assert [(each["tool_use_id"], each.get("is_error", False)) for each in step.added] == [
        ("toolu_2", False),
        ("toolu_1", True),
    ]


async def test_only_one_mistake_is_sent_back():
    loop = ToolLoop(STRUCTURED)

    first = await loop.after([call("structured_answer", a="one"), call(id_="toolu_2")], has_room=True)
    second = await loop.after([call("structured_answer", a="two")], has_room=True)

    assert (first.goes_on, [each.id for each in first.calls]) == (True, ["toolu_2"])
    assert (second.goes_on, second.added[0]["is_error"]) == (False, True)
