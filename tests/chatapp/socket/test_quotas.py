"""Limits of messages, replies and money, as people meet them on sockets."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile

from chatapp.models import LimitMet, Message, QueuedMessage, UsageLimit
from chatapp.quotas import accounts, policy, refusals
from chatapp.quotas.accounts import ALL, name_of
from tests.chatapp.sockets import Tab, eventually
from warmcache.background.database import in_database_thread
from warmcache.core.guards import MONEY_UNITS
from warmcache.models import WarmUp

pytestmark = pytest.mark.django_db(transaction=True)
KINDS = UsageLimit.AppliesTo


async def limit(kind: str, **fields: Any) -> None:
    await in_database_thread(UsageLimit.objects.create, applies_to=kind, **fields)
    policy.watch.forget()


async def used(name: str) -> Any:
    return (await in_database_thread(accounts.read, [name]))[name]


async def answers(tab: Tab, count: int) -> list[dict[str, Any]]:
    """The answers to so many messages, each in a chat of its own."""
    found = []
    while len(found) < count:
        frame = await tab.read()
        if frame["type"] in ("message.created", "error"):
            found.append(frame)
    return found


async def until_all_have_ended() -> None:
    async def none_runs() -> bool:
        return not await in_database_thread(Message.objects.filter(status="streaming").exists)

    await eventually(none_runs)


async def test_messages_a_minute_hold_over_all_sockets_of_a_person(open_tab, ann, bob, assistant):
    await limit(KINDS.EACH_PERSON, messages_per_minute=7)
    tabs = [await open_tab(ann) for _ in range(3)]
    other = await open_tab(bob)

    for tab in tabs:
        for number in range(5):
            await tab.say(f"Message {number}", assistant_id=assistant.pk)
    found = [frame for frames in await asyncio.gather(*(answers(tab, 5) for tab in tabs)) for frame in frames]
    await other.say("And me?", assistant_id=assistant.pk)

    accepted = [frame for frame in found if frame["type"] == "message.created"]
    refused = [frame for frame in found if frame["type"] == "error"]
    assert (len(accepted), len(refused)) == (7, 8)
    assert await other.until("message.created")
    assert {frame["code"] for frame in refused} == {"quota"}
    quota = refused[0]["quota"]
    assert (quota["measure"], quota["scope"], quota["limit"], quota["left"]) == (
        "messages_per_minute",
        "person",
        "7",
        "0",
    )
    ends_in = datetime.fromisoformat(quota["until"]) - datetime.now(UTC)
    assert timedelta(0) < ends_in <= timedelta(minutes=1)
    assert refused[0]["retryable"]
    assert await in_database_thread(Message.objects.filter(role="user", sender=ann).count) == 7
    await until_all_have_ended()


async def test_a_page_is_told_before_the_limit_is_met_and_again_when_it_connects(open_tab, ann, assistant):
    await limit(KINDS.EACH_PERSON, messages_per_day=6)
    tab = await open_tab(ann)
    assert tab.ready["quota"] == []
    for number in range(5):
        created = await tab.say(f"Message {number}", assistant_id=assistant.pk)
        await tab.until("message.created", client_message_id=created)
        await tab.until("reply.finished")

    [told] = tab.of_type("quota")
    again = await open_tab(ann)

    assert [(q["measure"], q["left"], q["limit"]) for q in told["limits"]] == [("messages_per_day", "1", "6")]
    assert again.ready["quota"] == told["limits"]


async def test_replies_at_once_are_limited_until_one_ends(open_tab, ann, assistant, simulator):
    await limit(KINDS.EACH_PERSON, running_replies=2)
    simulator.script(text="a b c d " * 20, times=2)
    simulator.fault(kind="stall", where="after_first_token", match="reply", times=2)
    tab = await open_tab(ann)
    for _ in range(3):
        await tab.say("Go", assistant_id=assistant.pk)

    found = await answers(tab, 3)

    [refused] = [frame for frame in found if frame["type"] == "error"]
    assert (refused["quota"]["measure"], refused["quota"]["until"]) == ("running_replies", None)
    assert (await used(name_of(ann.pk))).running == 2
    while len({frame["reply_id"] for frame in tab.of_type("reply.delta")}) < 2:
        await tab.read()
    simulator.release()
    await until_all_have_ended()
    await tab.say("Now?", assistant_id=assistant.pk)
    await tab.until("message.created", text="Now?")
    await until_all_have_ended()
    assert (await used(name_of(ann.pk))).running == (await used(ALL)).running == 0


async def test_money_is_set_aside_at_the_send_and_what_was_billed_stays(open_tab, ann, assistant, simulator):
    simulator.fault(kind="stall", where="after_first_token", match="reply", times=1)
    tab = await open_tab(ann)
    await tab.say("How much?", assistant_id=assistant.pk)
    await tab.until("reply.delta")  # the call hangs from here on
    while_it_runs = (await used(name_of(ann.pk))).day_units
    simulator.release()

    finished = await tab.until("reply.finished")
    await until_all_have_ended()

    after = await used(name_of(ann.pk))
    assert Decimal(after.day_units) / MONEY_UNITS == Decimal(finished["cost_usd"])
    assert after.month_units == after.day_units == (await used(ALL)).day_units
    assert while_it_runs > after.day_units > 0


async def test_without_money_nothing_is_sent_to_the_provider(open_tab, ann, assistant, simulator):
    await limit(KINDS.ONE_PERSON, user=ann, usd_per_day=Decimal("0.01"))
    tab = await open_tab(ann)

    await tab.say("Hello", assistant_id=assistant.pk)
    refused = await tab.until("error")

    assert refused["quota"]["measure"] == "usd_per_day"
    assert (refused["quota"]["limit"], refused["quota"]["left"]) == ("0.01", "0.01")
    assert refused["quota"]["until"].endswith("T00:00:00Z")
    assert [r for r in simulator.requests() if r["kind"] == "reply"] == []
    assert (await in_database_thread(accounts.read, [name_of(ann.pk)])) == {}


async def test_a_group_together_and_everybody_together_have_limits_of_their_own(open_tab, ann, bob, assistant):
    group = await in_database_thread(Group.objects.create, name="trial")
    await in_database_thread(ann.groups.add, group)
    await limit(KINDS.GROUP_TOGETHER, group=group, messages_per_day=1)
    await limit(KINDS.ALL_TOGETHER, messages_per_day=2)
    of_ann, of_bob = await open_tab(ann), await open_tab(bob)

    scopes = []
    for tab in (of_ann, of_ann, of_bob, of_bob):
        await tab.say("Hello", assistant_id=assistant.pk)
        [answer] = await answers(tab, 1)
        scopes.append(answer["quota"]["scope"] if answer["type"] == "error" else None)
        await until_all_have_ended()

    assert scopes == [None, "group", None, "all"]


async def test_a_resend_is_not_counted_again(open_tab, ann, assistant):
    await limit(KINDS.EACH_PERSON, messages_per_day=1)
    tab, other = await open_tab(ann), await open_tab(ann)
    fields = {"client_message_id": str(uuid4()), "text": "Once", "assistant_id": assistant.pk}
    await tab.send("message.send", **fields)
    first = await tab.until("message.created")
    await until_all_have_ended()
    before = await used(name_of(ann.pk))

    for place in ({}, {"conversation_id": first["conversation_id"]}):
        await other.send("message.send", **fields, **place)
        assert (await other.until("message.created"))["message_id"] == first["message_id"]

    assert await used(name_of(ann.pk)) == before


async def test_a_queued_message_is_counted_once_and_waits_with_its_sentence_where_a_limit_is_reached(
    open_tab, ann, assistant, simulator
):
    simulator.script(text="a b c d " * 20)
    simulator.fault(kind="stall", where="after_first_token", match="reply", times=1)
    tab = await open_tab(ann)
    await tab.say("First", assistant_id=assistant.pk)
    conversation_id = (await tab.until("message.created"))["conversation_id"]
    await tab.until("reply.delta")
    await tab.say("Second", conversation_id=conversation_id)
    await tab.until("message.queued")
    assert (await used(name_of(ann.pk))).day_messages == 2
    await limit(KINDS.ONE_PERSON, user=ann, usd_per_day=Decimal("0.01"))

    simulator.release()
    await tab.until("reply.finished")
    held = await tab.until("conversation.updated")
    while not (held["conversation"]["queue"] and held["conversation"]["queue"][0]["is_held"]):
        held = await tab.until("conversation.updated")

    [queued] = held["conversation"]["queue"]
    assert queued["text"] == "Second"
    assert "$0.01 a day" in queued["held_because"]
    await in_database_thread(UsageLimit.objects.all().delete)
    policy.watch.forget()
    await tab.send("queue.send", message_id=queued["message_id"])
    await tab.until("message.created", text="Second")
    await tab.until("reply.finished")
    await until_all_have_ended()
    assert (await used(name_of(ann.pk))).day_messages == 2
    assert not await in_database_thread(QueuedMessage.objects.exists)


async def test_trying_again_counts_as_a_message(open_tab, ann, assistant):
    await limit(KINDS.EACH_PERSON, messages_per_day=1)
    tab = await open_tab(ann)
    await tab.say("Once", assistant_id=assistant.pk)
    finished = await tab.until("reply.finished")
    await until_all_have_ended()

    await tab.send("reply.regenerate", reply_id=finished["reply_id"])

    assert (await tab.until("error"))["code"] == "quota"


async def test_the_operator_sees_who_met_which_limit(open_tab, ann, assistant):
    await limit(KINDS.EACH_PERSON, messages_per_day=1)
    tab = await open_tab(ann)
    for _ in range(3):
        await tab.say("Hello", assistant_id=assistant.pk)
    await answers(tab, 3)
    await until_all_have_ended()

    await in_database_thread(refusals.write)
    await in_database_thread(refusals.write)

    [met] = await in_database_thread(list, LimitMet.objects.values_list("user", "measure", "scope", "limit", "count"))
    assert met == (ann.pk, "messages_per_day", "person", "1", 2)


async def test_a_deleted_conversation_gives_its_place_back(open_tab, ann, assistant, simulator, client):
    simulator.script(text="a b c d " * 20)
    simulator.fault(kind="stall", where="after_first_token", match="reply", times=1)
    tab = await open_tab(ann)
    await tab.say("Go", assistant_id=assistant.pk)
    conversation_id = (await tab.until("message.created"))["conversation_id"]
    await tab.until("reply.delta")
    await in_database_thread(client.force_login, ann)

    await in_database_thread(client.post, f"/c/{conversation_id}/delete/")

    async def is_free() -> bool:
        return (await used(name_of(ann.pk))).running == 0

    await eventually(is_free)


async def test_warm_ups_take_from_the_same_money(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    await tab.send("typing.started", assistant_id=assistant.pk, chars=1)
    await tab.until("warmth", state="warm")

    async def is_billed() -> bool:
        row = await in_database_thread(WarmUp.objects.exclude(cost_usd=None).first)
        spent = (await used(name_of(ann.pk))).day_units
        return row is not None and Decimal(spent) / MONEY_UNITS == row.cost_usd

    await eventually(is_billed)
    assert (await used(name_of(ann.pk))).running == 0


async def test_without_money_typing_warms_nothing_and_says_so(open_tab, ann, assistant, simulator):
    await limit(KINDS.ONE_PERSON, user=ann, usd_per_day=Decimal("0.00"))
    tab = await open_tab(ann)

    await tab.send("typing.started", assistant_id=assistant.pk, chars=1)
    told = await tab.until("warmth", state="skipped")

    assert told["reason"] == "user_budget"
    assert simulator.requests() == []


async def test_an_honest_person_in_a_busy_hour_meets_no_limit(open_tab, ann, assistant, client):
    """Sixty messages and thirty files on six pages, in far less than an hour."""
    await in_database_thread(client.force_login, ann)
    tabs = [await open_tab(ann) for _ in range(6)]
    files = []
    for number in range(30):
        file = SimpleUploadedFile(f"notes-{number}.txt", b"Some notes.")
        answer = await in_database_thread(client.post, "/attachments/", {"file": file})
        files.append(answer.json()["id"])

    for number in range(60):
        tab = tabs[number % 6]
        attachments = files[number : number + 1]
        await tab.say(f"Message {number}", assistant_id=assistant.pk, attachment_ids=attachments)
        assert (await answers(tab, 1))[0]["type"] == "message.created"
        await tab.until("reply.finished")

    told = [frame for tab in tabs for frame in tab.of_type("error")]
    assert told == []
    assert not await in_database_thread(LimitMet.objects.exists)
    await until_all_have_ended()
