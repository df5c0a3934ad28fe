"""Answers that the provider pauses go on in the same reply; what a tab saw is what it gets again after a reload."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from chatapp.conversations import prepared_conversations
from chatapp.models import Message
from chatapp.replies.rounds import MAX_ROUNDS
from tests.chatapp.sockets import Tab
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread
from warmcache.models import UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)

CALL = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "weather"}}
FOUND = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": [{"type": "web_search_result", "url": "https://a.example/", "title": "A", "encrypted_content": "RW5j"}],
}
LOCATION = {"type": "web_search_result_location", "url": "https://a.example/", "title": "A", "cited_text": "59 F"}
CITED = {"type": "text", "text": "it is 59 F", "citations": [{**LOCATION, "encrypted_index": "RW8"}]}
USAGE = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def thought(value: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": value}


def pause_then_go_on(simulator) -> None:
    simulator.script(blocks=[thought("Hm."), text("I look."), CALL], stop_reason="pause_turn")
    simulator.script(blocks=[FOUND, thought("So."), text("By the forecast, "), CITED, text(".")])


async def ask(tab: Tab, **place: Any) -> dict[str, Any]:
    """Gives the `reply.finished`."""
    await tab.say("What is the weather?", **place)
    return await tab.until("reply.finished")


async def row_of(finished: dict[str, Any]) -> Message:
    return await in_database_thread(Message.objects.get, pk=finished["reply_id"])


def bodies(simulator) -> list[dict[str, Any]]:
    """Of the real requests, in order."""
    sent = [each for each in simulator.requests() if each["path"] == "/v1/messages" and not each["is_warm_up"]]
    return [each["parsed"] for each in sent]


def fault_in_the_second_request(simulator, **fault: Any) -> None:
    simulator.fault(kind="slow", match="reply", seconds=0)
    simulator.fault(match="reply", **fault)


def without_breakpoints(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in block.items() if name != "cache_control"} for block in blocks]


async def test_a_paused_answer_goes_on_in_one_reply_with_one_bill(open_tab, ann, assistant, simulator):
    pause_then_go_on(simulator)
    tab = await open_tab(ann)

    finished = await ask(tab, assistant_id=assistant.pk)
    await warmcache.flush()

    row = await row_of(finished)
    assert (finished["status"], finished["stop_reason"]) == ("complete", "end_turn")
    assert row.text == "I look.\n\nBy the forecast, it is 59 F."
    assert [each["first_block"] for each in row.rounds] == [0, 3]
    assert [each["message"]["stop_reason"] for each in row.rounds] == ["pause_turn", "end_turn"]
    records = await in_database_thread(lambda: list(UsageRecord.objects.order_by("started_at")))
    assert [record.purpose for record in records] == ["reply", "tool_round"]
    assert [record.status for record in records] == ["complete", "complete"]
    assert finished["usage"] == {name: sum(getattr(record, name) for record in records) for name in USAGE}
    assert Decimal(finished["cost_usd"]) == sum(record.cost_usd for record in records)
    assert (row.input_tokens, row.output_tokens) == (
        finished["usage"]["input_tokens"],
        finished["usage"]["output_tokens"],
    )


async def test_the_answer_is_continued_and_goes_back_later_as_it_came(open_tab, ann, assistant, simulator):
    pause_then_go_on(simulator)
    tab = await open_tab(ann)
    await ask(tab, assistant_id=assistant.pk)
    conversation_id = tab.of_type("message.created")[0]["conversation_id"]
    simulator.script(text="Take a coat.")

    finished = await ask(tab, conversation_id=conversation_id)

    assert finished["status"] == "complete"
    first, second, third = (body["messages"] for body in bodies(simulator))
    paused = without_breakpoints(second[1]["content"])
    whole = without_breakpoints(third[1]["content"])
    assert [message["role"] for message in second] == ["user", "assistant"]
    assert without_breakpoints(second[0]["content"]) == without_breakpoints(first[0]["content"])
    assert [block["type"] for block in paused] == ["thinking", "text", "server_tool_use"]
    assert paused[0]["signature"]
    assert whole[:3] == paused
    assert without_breakpoints(whole)[3:] == [FOUND, whole[4], text("By the forecast, "), CITED, text(".")]
    assert whole[4]["thinking"] == "So."


async def test_a_paused_answer_is_continued_in_its_container(open_tab, ann, assistant, simulator):
    container = {"id": "container_1", "expires_at": "2026-11-28T12:00:00Z"}
    simulator.script(blocks=[text("I look."), CALL], stop_reason="pause_turn", container=container)
    simulator.script(blocks=[text("Longer."), CALL], stop_reason="pause_turn")
    simulator.script(blocks=[FOUND, text("Found.")])
    tab = await open_tab(ann)

    finished = await ask(tab, assistant_id=assistant.pk)

    assert [body.get("container") for body in bodies(simulator)] == [None, "container_1", "container_1"]
    assert (await row_of(finished)).rounds[0]["message"]["container"] == container


@pytest.mark.parametrize("is_kept", [True, False])
async def test_the_next_message_goes_on_in_the_container_until_it_expires(
    open_tab, ann, assistant, simulator, is_kept: bool
):
    live = {"id": "container_1", "expires_at": (timezone.now() + timedelta(hours=1)).isoformat()}
    over = {"id": "container_2", "expires_at": (timezone.now() + timedelta(seconds=5)).isoformat()}
    for container in (live, None, over, None):
        simulator.script(text="Done.", **({"container": container} if container else {}))
    tab = await open_tab(ann)
    await ask(tab, assistant_id=assistant.pk)
    conversation_id = tab.of_type("message.created")[0]["conversation_id"]

    for _ in range(3):
        if not is_kept:
            prepared_conversations.store.clear()
        await ask(tab, conversation_id=conversation_id)

    named = [body.get("container") for body in bodies(simulator)]
    assert named == [None, "container_1", "container_1", None]


async def test_blocks_are_counted_once_live_and_after_a_reload(open_tab, ann, assistant, simulator):
    pause_then_go_on(simulator)
    tab = await open_tab(ann)
    finished = await ask(tab, assistant_id=assistant.pk)
    conversation_id = tab.of_type("message.created")[0]["conversation_id"]

    other = await open_tab(ann)
    await other.send("conversation.open", conversation_id=conversation_id)
    state = await other.until("conversation.state")

    reply = next(message for message in state["messages"] if message["id"] == finished["reply_id"])
    ends = [frame for frame in tab.of_type("reply.block") if frame["state"] == "stop"]
    assert [frame["block"] for frame in ends] == list(range(8))
    assert [(view["block"], view["kind"], view["data"]) for view in reply["blocks"]] == [
        (frame["block"], frame["kind"], frame["data"]) for frame in ends
    ]
    assert reply["blocks"][3]["data"]["content"] == [
        {"type": "web_search_result", "url": "https://a.example/", "title": "A"}
    ]
    assert reply["blocks"][6]["data"] == {"citations": [LOCATION]}
    for number in range(8):
        deltas = [f["text"] for f in tab.of_type("reply.delta") if f["block"] == number]
        assert "".join(deltas) == reply["blocks"][number]["text"]


async def test_a_turn_that_pauses_for_ever_is_given_up_after_some_rounds(open_tab, ann, assistant, simulator):
    simulator.script(blocks=[text("So far. "), CALL], stop_reason="pause_turn", times=MAX_ROUNDS + 5)
    tab = await open_tab(ann)

    finished = await ask(tab, assistant_id=assistant.pk)

    assert (finished["status"], finished["stop_reason"]) == ("complete", "pause_turn")
    assert len(bodies(simulator)) == MAX_ROUNDS
    conversation_id = tab.of_type("message.created")[0]["conversation_id"]
    simulator.call("POST", "reset")
    assert (await ask(tab, conversation_id=conversation_id))["status"] == "complete"
    assert {block["type"] for block in bodies(simulator)[0]["messages"][1]["content"]} == {"text"}


async def test_stop_in_a_later_round_keeps_everything_so_far(open_tab, ann, assistant, simulator):
    simulator.script(blocks=[text("I look."), CALL], stop_reason="pause_turn")
    simulator.script(tokens=400)
    fault_in_the_second_request(simulator, kind="stall", where="after_first_token", after_tokens=64)
    tab = await open_tab(ann)
    await tab.say("What is the weather?", assistant_id=assistant.pk)
    delta = await tab.until("reply.delta", block=2)

    await tab.send("reply.stop", reply_id=delta["reply_id"])
    finished = await tab.until("reply.finished")
    await warmcache.flush()

    row = await row_of(finished)
    assert (finished["status"], row.status) == ("stopped", "stopped")
    assert row.text == "I look.\n\n" + "".join(f["text"] for f in tab.of_type("reply.delta") if f["block"] == 2)
    records = await in_database_thread(lambda: list(UsageRecord.objects.order_by("started_at")))
    assert [record.status for record in records] == ["complete", "stopped"]


async def test_a_round_that_fails_interrupts_the_reply_and_keeps_what_was_said(open_tab, ann, assistant, simulator):
    simulator.script(blocks=[text("I look."), CALL], stop_reason="pause_turn")
    simulator.script(text="By the forecast")
    tab = await open_tab(ann)
    fault_in_the_second_request(simulator, kind="end_early", where="after_first_token", after_tokens=1)

    finished = await ask(tab, assistant_id=assistant.pk)
    await warmcache.flush()

    assert finished["status"] == "interrupted"
    assert (await row_of(finished)).text.startswith("I look.\n\n")
    records = await in_database_thread(lambda: list(UsageRecord.objects.order_by("started_at")))
    assert [record.status for record in records] == ["complete", "interrupted"]
    assert finished["usage"]["output_tokens"] == sum(record.output_tokens for record in records)
