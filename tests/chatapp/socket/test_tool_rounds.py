"""Tools that the chat runs: each round is stored and sent as it was, costs are summed, and the cache is read on."""

from decimal import Decimal
from threading import Event
from typing import Any

import pytest

from chatapp.conversations import document_search, prepared_conversations
from chatapp.models import Document, Message
from chatapp.replies import registry
from chatapp.replies.rounds import MAX_ROUNDS
from chatapp.replies.tools.loop import ASK_AGAIN, LAST_REQUEST
from tests.chatapp.sockets import Tab
from tests.factories import make_assistant
from tests.servers import PATIENCE_SECONDS
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread
from warmcache.models import UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)

Json = dict[str, Any]
LONG = "The tuple is a sequence that does not change. " * 200
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}
USAGE = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")


@pytest.fixture
def helper(db):
    """An assistant with every tool of the chat, and with documents that are long enough to be cached."""
    own = ["search_documents", "calculator", "current_date"]
    return make_assistant(documents=(LONG, "Bananas are yellow."), own_tools=own)


@pytest.fixture
def reporter(db):
    return make_assistant(documents=(LONG,), own_tools=["calculator"], output_schema=SCHEMA)


def text(value: str) -> Json:
    return {"type": "text", "text": value}


def call(name: str, given: Json, id_: str = "toolu_1") -> Json:
    return {"type": "tool_use", "id": id_, "name": name, "input": given}


async def ask(tab: Tab, question: str = "How much?", **place: Any) -> Json:
    """Gives the `reply.finished`."""
    await tab.say(question, **place)
    return await tab.until("reply.finished")


async def row_of(finished: Json) -> Message:
    return await in_database_thread(Message.objects.get, pk=finished["reply_id"])


def sent(simulator) -> list[Json]:
    """The journal's lines of the real requests, in order."""
    return [each for each in simulator.requests() if each["path"] == "/v1/messages" and not each["is_warm_up"]]


def unmarked(value: Any) -> Any:
    """Without breakpoints."""
    if isinstance(value, dict):
        return {name: unmarked(inner) for name, inner in value.items() if name != "cache_control"}
    return [unmarked(inner) for inner in value] if isinstance(value, list) else value


def results_in(body: Json) -> list[Json]:
    return [block for block in body["messages"][-1]["content"] if block["type"] == "tool_result"]


def said_in(result: Json) -> str:
    return "\n".join(part["text"] for part in result["content"])


async def test_tools_run_in_one_reply_with_one_bill_and_read_what_the_round_before_wrote(
    open_tab, ann, helper, simulator
):
    tab = await open_tab(ann)

    finished = await ask(
        tab, "Search documents: bananas, and calculator: `6 * 7`, then calculator: 1/8", assistant_id=helper.pk
    )
    await warmcache.flush()

    assert (finished["status"], finished["stop_reason"]) == ("complete", "end_turn")
    row = await row_of(finished)
    kinds = [block["type"] for block in row.content if block["type"] != "thinking"]
    assert kinds == ["tool_use", "tool_use", "tool_result", "tool_result", "tool_use", "tool_result", "text"]
    answers = [said_in(block) for block in row.content if block["type"] == "tool_result"]
    assert answers == ["Document 1:\nBananas are yellow.", "42", "0.125"]
    assert [each["message"]["stop_reason"] for each in row.rounds] == ["tool_use", "tool_use", "end_turn"]
    records = await in_database_thread(lambda: list(UsageRecord.objects.order_by("started_at")))
    assert [record.purpose for record in records] == ["reply", "tool_round", "tool_round"]
    assert finished["usage"] == {name: sum(getattr(record, name) for record in records) for name in USAGE}
    assert Decimal(finished["cost_usd"]) == sum(record.cost_usd for record in records)

    first, second, third = sent(simulator)
    for earlier, later in ((first, second), (second, third)):
        before = earlier["usage"]
        cached = before["cache_read_input_tokens"] + before["cache_creation_input_tokens"]
        assert later["usage"]["cache_read_input_tokens"] == cached > 1000
        assert later["parsed"]["tools"] == first["parsed"]["tools"]
        past = unmarked(earlier["parsed"]["messages"])
        assert unmarked(later["parsed"]["messages"])[: len(past)] == past


async def test_what_was_sent_is_stored_and_the_next_message_follows_the_same_bytes(open_tab, ann, helper, simulator):
    tab = await open_tab(ann)
    await ask(tab, "calculator: 6 * 7", assistant_id=helper.pk)
    conversation_id = tab.of_type("message.created")[0]["conversation_id"]
    simulator.script(text="Yes.")
    simulator.script(text="Still.")

    await ask(tab, "Sure?", conversation_id=conversation_id)
    prepared_conversations.store.clear()
    await ask(tab, "Really?", conversation_id=conversation_id)

    bodies = [each["parsed"] for each in sent(simulator)]
    for earlier, later in zip(bodies[1:], bodies[2:], strict=False):
        past = unmarked(earlier["messages"])
        assert unmarked(later["messages"])[: len(past)] == past
    assert [message["role"] for message in bodies[2]["messages"]] == ["user", "assistant"] * 2 + ["user"]
    usages = [each["usage"] for each in sent(simulator)]
    for before, after in zip(usages, usages[1:], strict=False):
        cached = before["cache_read_input_tokens"] + before["cache_creation_input_tokens"]
        assert after["cache_read_input_tokens"] == cached


async def test_a_warm_up_has_the_tools_and_the_first_request_reads_it(open_tab, ann, helper, simulator):
    tab = await open_tab(ann)
    await tab.send("typing.started", assistant_id=helper.pk, chars=30)
    await tab.until("warmth", state="warm")

    await ask(tab, "calculator: 6 * 7", assistant_id=helper.pk)

    warmed = next(each for each in simulator.requests() if each["is_warm_up"])
    first = sent(simulator)[0]
    assert unmarked(warmed["parsed"]["tools"]) == unmarked(first["parsed"]["tools"])
    names = [tool["name"] for tool in first["parsed"]["tools"]]
    assert names == ["search_documents", "calculator", "current_date"]
    assert first["usage"]["cache_read_input_tokens"] == warmed["usage"]["cache_creation_input_tokens"] > 0


async def test_a_page_sees_each_call_with_its_result_live_and_after_a_reload(open_tab, ann, helper, simulator):
    tab = await open_tab(ann)
    finished = await ask(tab, "calculator: 6 * 7", assistant_id=helper.pk)
    conversation_id = tab.of_type("message.created")[0]["conversation_id"]

    other = await open_tab(ann)
    await other.send("conversation.open", conversation_id=conversation_id)
    state = await other.until("conversation.state")

    reply = next(message for message in state["messages"] if message["id"] == finished["reply_id"])
    ends = [frame for frame in tab.of_type("reply.block") if frame["state"] == "stop"]
    assert [(view["block"], view["kind"], view["data"]) for view in reply["blocks"]] == [
        (frame["block"], frame["kind"], frame["data"]) for frame in ends
    ]
    calls = [view for view in reply["blocks"] if view["kind"] == "tool_input"]
    results = [view["data"] for view in reply["blocks"] if view["data"] and view["data"].get("tool_use_id")]
    assert [(view["name"], view["text"]) for view in calls] == [("calculator", '{"expression":"6 * 7"}')]
    assert results == [
        {"type": "tool_result", "tool_use_id": calls[0]["data"]["id"], "content": [{"type": "text", "text": "42"}]}
    ]


async def test_calls_that_cannot_be_run_get_an_error_and_the_reply_goes_on(open_tab, ann, helper, simulator):
    calls = [
        call("calculator", {"expression": "6 *"}, "toolu_1"),
        call("calculator", {"sum": 1}, "toolu_2"),
        call("current_date", {"timezone": "Europe"}, "toolu_3"),
        call("launch", {}, "toolu_4"),
        call("search_documents", {"query": "zebra"}, "toolu_5"),
    ]
    simulator.script(blocks=[text("I look."), *calls])
    simulator.script(text="Sorry.")
    tab = await open_tab(ann)

    finished = await ask(tab, assistant_id=helper.pk)

    assert finished["status"] == "complete"
    results = results_in(sent(simulator)[1]["parsed"])
    assert [result.get("is_error", False) for result in results] == [True, True, True, True, False]
    assert "A number is missing" in said_in(results[0])
    assert "'expression'" in said_in(results[1])
    assert "time zone" in said_in(results[2])
    assert "cannot run" in said_in(results[3])
    assert "No passage" in said_in(results[4])


async def test_a_tool_of_somebody_else_ends_the_reply(open_tab, ann, helper, simulator):
    simulator.script(blocks=[call("launch", {})])
    tab = await open_tab(ann)

    finished = await ask(tab, assistant_id=helper.pk)

    assert (finished["status"], finished["stop_reason"]) == ("complete", "tool_use")
    assert len(sent(simulator)) == 1


async def test_an_answer_that_never_stops_calling_is_told_of_its_last_request(open_tab, ann, helper, simulator):
    simulator.script(blocks=[call("calculator", {"expression": "1 + 1"})], times=MAX_ROUNDS + 3)
    tab = await open_tab(ann)

    finished = await ask(tab, assistant_id=helper.pk)

    bodies = [each["parsed"] for each in sent(simulator)]
    assert (finished["status"], finished["stop_reason"], len(bodies)) == ("complete", "tool_use", MAX_ROUNDS)
    told = [LAST_REQUEST in str(body["messages"][-1]) for body in bodies]
    assert told == [False] * (MAX_ROUNDS - 1) + [True]
    simulator.call("POST", "reset")
    conversation_id = tab.of_type("message.created")[0]["conversation_id"]
    assert (await ask(tab, conversation_id=conversation_id))["status"] == "complete"


@pytest.mark.parametrize("status", ["stopped", "interrupted"])
async def test_an_end_while_a_tool_runs_keeps_what_was_said_and_the_conversation_goes_on(
    open_tab, ann, helper, simulator, monkeypatch, status: str
):
    """Because its person stops it, or because the process ends."""
    may_end = Event()

    def search(*_: Any) -> list[Any]:
        may_end.wait(PATIENCE_SECONDS)
        return []

    monkeypatch.setattr(document_search, "search", search)
    simulator.script(blocks=[text("I look."), call("search_documents", {"query": "x"})])
    tab = await open_tab(ann)
    await tab.say("Look.", assistant_id=helper.pk)
    called = await tab.until("reply.block", block=1, state="stop")

    if status == "stopped":
        await tab.send("reply.stop", reply_id=called["reply_id"])
    else:
        await registry.interrupt_all()
    finished = await tab.until("reply.finished")
    may_end.set()
    await warmcache.flush()

    row = await row_of(finished)
    assert (finished["status"], row.status, row.text) == (status, status, "I look.")
    records = await in_database_thread(lambda: list(UsageRecord.objects.all()))
    assert [record.status for record in records] == ["complete"]
    assert Decimal(finished["cost_usd"]) == records[0].cost_usd > 0
    simulator.script(text="Fine.")
    conversation_id = tab.of_type("message.created")[0]["conversation_id"]
    assert (await ask(tab, conversation_id=conversation_id))["status"] == "complete"
    assert unmarked(sent(simulator)[-1]["parsed"]["messages"])[1]["content"] == [text("I look.")]


async def test_a_structured_answer_ends_the_reply_and_stays_in_the_history(open_tab, ann, reporter, simulator):
    tab = await open_tab(ann)

    finished = await ask(tab, "calculator: 6 * 7", assistant_id=reporter.pk)
    await warmcache.flush()

    row = await row_of(finished)
    assert finished["status"] == "complete"
    records = await in_database_thread(lambda: list(UsageRecord.objects.order_by("started_at")))
    # Both end with a call, but only after the first one a program goes on: the silence after the second is a person's.
    assert [record.asked_tool for record in records] == [True, False]
    calls = [block["name"] for block in row.content if block["type"] == "tool_use"]
    assert calls == ["calculator", "structured_answer"]
    assert row.content[-1]["type"] == "tool_result"
    first = sent(simulator)[0]["parsed"]
    assert first["tools"][-1]["strict"] is True
    assert "tool_choice" not in first
    assert "output_config" not in first
    simulator.script(text='{"city": "Rome", "degrees": 20}')
    conversation_id = tab.of_type("message.created")[0]["conversation_id"]
    again = await ask(tab, "And Rome?", conversation_id=conversation_id)
    history = unmarked(sent(simulator)[-1]["parsed"]["messages"])
    assert [block["type"] for block in history[-1]["content"]] == ["tool_result", "text"]
    found = (await row_of(again)).content[-1]
    assert found == {"type": "chat.answer", "answer": {"city": "Rome", "degrees": 20}}


async def test_a_plain_answer_is_asked_for_once_more_and_a_wrong_one_is_sent_back(open_tab, ann, reporter, simulator):
    simulator.script(text="It is warm in Rome.")
    simulator.script(blocks=[call("structured_answer", {"city": "Rome", "degrees": "warm"})])
    tab = await open_tab(ann)

    finished = await ask(tab, assistant_id=reporter.pk)

    # It was corrected once; the second wrong one is shown as it is.
    row = await row_of(finished)
    assert (finished["status"], len(sent(simulator))) == ("complete", 2)
    assert sent(simulator)[1]["parsed"]["messages"][-1]["content"][0]["text"] == ASK_AGAIN
    assert row.content[-1]["is_error"] is True
    assert "degrees" in said_in(row.content[-1])


async def test_a_wrong_structured_answer_is_sent_back_with_what_is_wrong(open_tab, ann, reporter, simulator):
    simulator.script(blocks=[call("structured_answer", {"city": "Rome"})])
    simulator.script(blocks=[call("structured_answer", {"city": "Rome", "degrees": 20}, "toolu_2")])
    tab = await open_tab(ann)

    finished = await ask(tab, assistant_id=reporter.pk)

    assert finished["status"] == "complete"
    (refused,) = results_in(sent(simulator)[1]["parsed"])
    assert refused["is_error"] is True
    assert "'degrees' is a required property" in said_in(refused)


async def test_an_assistant_with_a_schema_is_warmed(open_tab, ann, reporter, simulator):
    tab = await open_tab(ann)

    await tab.send("typing.started", assistant_id=reporter.pk, chars=30)

    assert (await tab.until("warmth", state="warm"))["reason"] is None


async def test_searches_on_the_web_are_named_counted_and_in_the_frame(open_tab, ann, simulator):
    assistant = await in_database_thread(lambda: make_assistant(max_web_searches=3))
    simulator.script(text="Found.", usage={"server_tool_use": {"web_search_requests": 2}})
    tab = await open_tab(ann)

    finished = await ask(tab, assistant_id=assistant.pk)

    assert sent(simulator)[0]["parsed"]["tools"] == [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    ]
    assert finished["usage"]["web_searches"] == 2
    row = await row_of(finished)
    assert row.web_searches == 2


async def test_documents_are_searched_as_they_are_now(helper):
    found = await in_database_thread(document_search.search, helper.pk, "yellow bananas")
    assert [(each.title, each.text) for each in found] == [("Document 1", "Bananas are yellow.")]
    await in_database_thread(lambda: Document.objects.filter(title="Document 1").delete())
    assert await in_database_thread(document_search.search, helper.pk, "bananas") == []
