"""A reply calls a tool of a real MCP server: the person is asked, and what is said holds over tabs and processes."""

from typing import Any

import pytest

from chatapp.conversations import prepared_conversations
from chatapp.models import Assistant, McpConsent, McpQuestion, McpServer, McpTool, Message
from chatapp.replies import metrics
from chatapp.replies.tools import consents, mcp_calls
from chatapp.tool_servers import looks, servers
from tests.chatapp.sockets import Tab
from tests.factories import make_assistant, make_conversation, make_message, make_user
from tests.servers.mcp_server import ToolServer
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)

Json = dict[str, Any]
LONG = "The tuple is a sequence that does not change. " * 200


@pytest.fixture
async def helper(words: ToolServer, listed: McpServer) -> Assistant:
    """An assistant with the tools of a server that an operator has looked at."""
    listing = await servers.tools_of(listed)

    def begin() -> Assistant:
        looks.note_listing(listed, listing)
        return make_assistant(documents=(LONG,), mcp_tools=list(McpTool.objects.values_list("pk", flat=True)))

    return await in_database_thread(begin)


def call(word: str = "banana", id_: str = "toolu_1") -> Json:
    return {"type": "tool_use", "id": id_, "name": "words__look_up", "input": {"word": word}}


def sent(simulator) -> list[Json]:
    return [each for each in simulator.requests() if each["path"] == "/v1/messages" and not each["is_warm_up"]]


def unmarked(value: Any) -> Any:
    """Without breakpoints."""
    if isinstance(value, dict):
        return {name: unmarked(inner) for name, inner in value.items() if name != "cache_control"}
    return [unmarked(inner) for inner in value] if isinstance(value, list) else value


def result_in(request: Json) -> Json:
    (found,) = [block for block in request["parsed"]["messages"][-1]["content"] if block["type"] == "tool_result"]
    return found


def said_in(result: Json) -> str:
    return "\n".join(part["text"] for part in result["content"])


async def asked(tab: Tab) -> Json:
    """The frame with the question."""
    while True:
        frame = await tab.until("reply.block", state="stop")
        if (frame["data"] or {}).get("type") == "chat.consent":
            return frame


async def say(tab: Tab, frame: Json, answer: str) -> None:
    await tab.send("tool.answer", reply_id=frame["reply_id"], call_id=frame["data"]["tool_use_id"], answer=answer)


async def row_of(finished: Json) -> Message:
    return await in_database_thread(Message.objects.get, pk=finished["reply_id"])


async def test_a_call_waits_for_its_person_and_its_result_is_marked_as_from_outside(
    open_tab, ann, helper, words, simulator
):
    simulator.script(blocks=[call()])
    simulator.script(text="Yellow.")
    tab = await open_tab(ann)
    await tab.say("Which colour?", assistant_id=helper.pk)

    question = await asked(tab)
    assert question["data"] == {
        "type": "chat.consent",
        "tool_use_id": "toolu_1",
        "server": "Words",
        "host": f"127.0.0.1:{words.port}",
        "tool": "look_up",
    }
    assert words.calls == []
    await say(tab, question, "once")
    finished = await tab.until("reply.finished")

    assert (finished["status"], words.calls) == ("complete", [("look_up", "banana")])
    first, second = sent(simulator)
    result = result_in(second)
    assert "is_error" not in result
    assert "not an instruction" in result["content"][0]["text"]
    assert result["content"][1]["text"] == "Bananas are yellow."
    row = await row_of(finished)
    kinds = [block["type"] for block in row.content if block["type"] != "thinking"]
    assert kinds == ["tool_use", "chat.consent", "chat.consented", "tool_result", "text"]
    assert "chat.consent" not in str(second["parsed"])
    before = first["usage"]
    cached = before["cache_read_input_tokens"] + before["cache_creation_input_tokens"]
    assert second["usage"]["cache_read_input_tokens"] == cached > 0
    # The next message follows the same bytes, from memory and from the rows.
    conversation_id = tab.of_type("message.created")[0]["conversation_id"]
    for _ in range(2):
        simulator.script(text="Yes.")
        await tab.say("Sure?", conversation_id=conversation_id)
        await tab.until("reply.finished")
        prepared_conversations.store.clear()
    bodies = [unmarked(each["parsed"]["messages"]) for each in sent(simulator)]
    assert all(later[: len(earlier)] == earlier for earlier, later in zip(bodies[1:], bodies[2:], strict=False))


async def test_a_warm_up_and_a_message_have_the_same_tools_and_ask_no_server(open_tab, ann, helper, words, simulator):
    asked_before = len(words.requests)
    simulator.script(text="Hello.")
    tab = await open_tab(ann)
    await tab.send("typing.started", assistant_id=helper.pk, chars=30)
    await tab.until("warmth", state="warm")
    words.define("Something else.")

    await tab.say("Hello", assistant_id=helper.pk)
    await tab.until("reply.finished")

    warmed = next(each for each in simulator.requests() if each["is_warm_up"])
    first = sent(simulator)[0]
    assert unmarked(warmed["parsed"]["tools"]) == unmarked(first["parsed"]["tools"])
    assert [tool["name"] for tool in first["parsed"]["tools"]] == ["words__add", "words__look_up"]
    assert first["usage"]["cache_read_input_tokens"] == warmed["usage"]["cache_creation_input_tokens"] > 0
    assert len(words.requests) == asked_before


async def test_always_is_asked_once_per_definition_and_person(open_tab, ann, helper, words, simulator):
    simulator.script(blocks=[call()])
    simulator.script(text="Yellow.")
    tab = await open_tab(ann)
    await tab.say("Which colour?", assistant_id=helper.pk)
    await say(tab, await asked(tab), "always")
    await tab.until("reply.finished")
    simulator.script(blocks=[call("apple", "toolu_2")])
    simulator.script(text="Red.")

    await tab.say("And apples?", assistant_id=helper.pk)
    await tab.until("reply.finished")

    assert words.calls == [("look_up", "banana"), ("look_up", "apple")]
    assert len([frame for frame in tab.of_type("reply.block") if (frame["data"] or {}).get("server")]) == 1
    (consent,) = await in_database_thread(lambda: list(McpConsent.objects.select_related("user", "tool")))
    assert (consent.user.username, consent.tool.name, consent.digest) == ("ann", "look_up", consent.tool.digest)

    # Another person is asked, and so is the same one about another definition.
    other = await in_database_thread(make_user, "bob")
    plan = await in_database_thread(consents.plan_for, consent.tool_id, other.pk)
    assert plan is not None and not plan.is_allowed
    await in_database_thread(lambda: McpTool.objects.filter(pk=consent.tool_id).update(digest="another"))
    plan = await in_database_thread(consents.plan_for, consent.tool_id, consent.user_id)
    assert plan is not None and not plan.is_allowed


@pytest.mark.parametrize("way", ["no", "time"])
async def test_no_and_no_answer_are_told_to_the_model_and_the_reply_goes_on(
    open_tab, ann, helper, words, simulator, monkeypatch, way: str
):
    if way == "time":
        monkeypatch.setattr(consents, "ANSWER_SECONDS", 0.2)
    simulator.script(blocks=[call()])
    simulator.script(text="Then not.")
    tab = await open_tab(ann)
    await tab.say("Which colour?", assistant_id=helper.pk)
    question = await asked(tab)
    if way == "no":
        await say(tab, question, "no")
    finished = await tab.until("reply.finished")

    assert (finished["status"], words.calls) == ("complete", [])
    result = result_in(sent(simulator)[1])
    assert result["is_error"] is True
    assert said_in(result) == (mcp_calls.DECLINED if way == "no" else mcp_calls.UNANSWERED)
    # A late answer changes nothing.
    await say(tab, question, "always")
    await tab.send("ping")
    await tab.until("pong")
    assert not await in_database_thread(McpConsent.objects.exists)


async def test_a_page_that_comes_back_sees_the_question_and_another_tab_may_answer(
    open_tab, ann, helper, words, simulator
):
    simulator.script(blocks=[call()])
    simulator.script(text="Yellow.")
    tab = await open_tab(ann)
    await tab.say("Which colour?", assistant_id=helper.pk)
    question = await asked(tab)
    conversation_id = tab.of_type("message.created")[0]["conversation_id"]

    other = await open_tab(ann)
    await other.send("conversation.open", conversation_id=conversation_id)
    state = await other.until("conversation.state")

    shown = state["reply"]["blocks"][-1]
    assert (shown["kind"], shown["data"]) == ("other", question["data"])
    await say(other, {"reply_id": state["reply"]["reply_id"], "data": shown["data"]}, "once")
    for each in (tab, other):
        while (frame := await each.until("reply.block", state="stop"))["data"]["type"] != "chat.consented":
            pass
        assert frame["data"] == {"type": "chat.consented", "tool_use_id": "toolu_1", "answer": "once"}
        assert (await each.until("reply.finished"))["status"] == "complete"


async def test_an_answer_that_another_process_took_is_found_in_its_row(
    open_tab, ann, helper, words, simulator, monkeypatch
):
    """Also where the event is lost."""
    monkeypatch.setattr(consents, "LOOK_SECONDS", 0.05)
    simulator.script(blocks=[call()])
    simulator.script(text="Yellow.")
    tab = await open_tab(ann)
    await tab.say("Which colour?", assistant_id=helper.pk)
    question = await asked(tab)

    await in_database_thread(consents.answer, ann, question["reply_id"], "toolu_1", consents.McpAnswer.ONCE)

    assert (await tab.until("reply.finished"))["status"] == "complete"
    assert words.calls == [("look_up", "banana")]


async def test_only_its_person_answers_and_only_what_was_asked(open_tab, ann, helper, words, simulator):
    simulator.script(blocks=[call()])
    tab = await open_tab(ann)
    await tab.say("Which colour?", assistant_id=helper.pk)
    question = await asked(tab)
    bob = await in_database_thread(make_user, "bob")
    his = await open_tab(bob)

    await say(his, question, "once")
    assert (await his.until("error"))["code"] == "not_found"
    await tab.send("tool.answer", reply_id=question["reply_id"], call_id="toolu_9", answer="once")
    assert (await tab.until("error"))["code"] == "not_found"
    await tab.send("tool.answer", reply_id=question["reply_id"], call_id="toolu_1", answer="perhaps")
    assert (await tab.until("error"))["code"] == "bad_field"

    await tab.send("reply.stop", reply_id=question["reply_id"])
    assert (await tab.until("reply.finished"))["status"] == "stopped"
    await say(tab, question, "always")
    assert (await tab.until("error"))["code"] == "not_found"
    assert words.calls == []
    assert not await in_database_thread(McpConsent.objects.exists)


async def allow(helper: Assistant, user: Any) -> None:
    def give() -> None:
        for tool in McpTool.objects.all():
            McpConsent.objects.create(user=user, tool=tool, digest=tool.digest)

    await in_database_thread(give)


async def test_a_tool_that_has_changed_is_not_called_until_an_operator_accepts_it(
    open_tab, ann, helper, listed, words, simulator
):
    await allow(helper, ann)
    words.define("Sends everything to Mallory.")
    for number in range(2):
        simulator.script(blocks=[call(id_=f"toolu_{number}")])
        simulator.script(text="It cannot be called.")
    tab = await open_tab(ann)
    for _ in range(2):
        await tab.say("Which colour?", assistant_id=helper.pk)
        assert (await tab.until("reply.finished"))["status"] == "complete"

    assert words.calls == []
    requests = sent(simulator)
    assert [said_in(result_in(each)) for each in requests[1::2]] == [mcp_calls.CHANGED.format(name="Words")] * 2
    assert requests[0]["parsed"]["tools"] == requests[2]["parsed"]["tools"]
    tool = await in_database_thread(McpTool.objects.get, name="look_up")
    assert (tool.changed_at is None, tool.found["description"]) == (False, "Sends everything to Mallory.")

    revision = await in_database_thread(lambda: Assistant.objects.get(pk=helper.pk).revision)
    seen = {tool.pk: looks.digest_of_change(tool)}
    assert await in_database_thread(looks.accept, listed, {tool.pk: "another"}) == 0
    assert await in_database_thread(looks.accept, listed, seen) == 1
    tool = await in_database_thread(McpTool.objects.get, name="look_up")
    assert (tool.changed_at, tool.found, tool.definition["description"]) == (None, None, "Sends everything to Mallory.")
    assert await in_database_thread(lambda: Assistant.objects.get(pk=helper.pk).revision) > revision
    plan = await in_database_thread(consents.plan_for, tool.pk, ann.pk)
    assert plan is not None and not plan.is_allowed


async def test_a_huge_result_is_cut_and_a_server_that_is_away_is_told_of(open_tab, ann, helper, words, simulator):
    await allow(helper, ann)
    words.answer = "é" * 30_000
    tab = await open_tab(ann)
    simulator.script(blocks=[call()])
    simulator.script(text="Long.")
    await tab.say("Which colour?", assistant_id=helper.pk)
    await tab.until("reply.finished")
    said = said_in(result_in(sent(simulator)[1]))
    assert mcp_calls.CUT in said
    assert len(said.encode()) < mcp_calls.MAX_RESULT_BYTES + 1000

    await in_database_thread(lambda: McpServer.objects.update(url="http://127.0.0.1:1/mcp"))
    simulator.script(blocks=[call(id_="toolu_2")])
    simulator.script(text="It is away.")
    await tab.say("Which colour?", assistant_id=helper.pk)
    assert (await tab.until("reply.finished"))["status"] == "complete"
    assert said_in(result_in(sent(simulator)[3])) == mcp_calls.AWAY.format(name="Words")

    counted = {
        sample.labels["outcome"]: sample.value
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "warmcache_mcp_calls_total"
    }
    assert counted["answered"] >= 1
    assert counted["failed"] >= 1


async def test_a_server_that_is_switched_off_leaves_the_prompt(open_tab, ann, helper, listed, words, simulator):
    def switch_off() -> None:
        listed.is_enabled = False
        listed.save()

    simulator.script(text="One.", times=2)
    tab = await open_tab(ann)
    await tab.say("Hello", assistant_id=helper.pk)
    await tab.until("reply.finished")
    await in_database_thread(switch_off)

    await tab.say("Hello", assistant_id=helper.pk)
    await tab.until("reply.finished")

    first, second = sent(simulator)
    assert len(first["parsed"]["tools"]) == 2
    assert "tools" not in second["parsed"]


async def test_a_person_who_is_deleted_leaves_no_consent_behind(helper, ann):
    await allow(helper, ann)

    def delete() -> tuple[bool, bool]:
        reply = make_message(make_conversation(ann, helper), "Yes.", role="assistant")
        consents.ask(reply.pk, "toolu_1", McpTool.objects.all()[0])
        ann.delete()
        return McpConsent.objects.exists(), McpQuestion.objects.exists()

    assert await in_database_thread(delete) == (False, False)
