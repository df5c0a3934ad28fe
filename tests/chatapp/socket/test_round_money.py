"""A reply of several requests has its money set aside for each of them before it is sent."""

from decimal import Decimal
from threading import Event

import pytest

from chatapp.conversations import document_search
from chatapp.models import Message, UsageLimit
from chatapp.quotas import accounts, policy
from chatapp.quotas.accounts import Standing, name_of
from chatapp.quotas.measures import units_of
from tests.factories import make_assistant
from tests.servers import PATIENCE_SECONDS
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)
CALL = {"type": "tool_use", "id": "toolu_1", "name": "search_documents", "input": {"query": "x"}}


class Search:
    """A tool that runs until it may end: between two requests of a reply."""

    def __init__(self) -> None:
        self.may_end = Event()

    def __call__(self, *_: object) -> list[object]:
        self.may_end.wait(PATIENCE_SECONDS)
        return []


@pytest.fixture
def search(monkeypatch, simulator) -> Search:
    found = Search()
    monkeypatch.setattr(document_search, "search", found)
    simulator.script(blocks=[{"type": "text", "text": "I look."}, CALL])
    return found


@pytest.fixture
def helper(db):
    return make_assistant(documents=("Bananas are yellow. " * 400,), own_tools=["search_documents"])


async def standing_of(user) -> Standing:
    return (await in_database_thread(accounts.read, [name_of(user.pk)]))[name_of(user.pk)]


async def reserved(reply_id: str) -> Decimal:
    return (await in_database_thread(Message.objects.get, pk=reply_id)).reserved_usd


async def test_each_request_is_paid_for_before_it_is_sent_and_the_bill_takes_its_place(
    open_tab, ann, helper, search, simulator
):
    tab = await open_tab(ann)
    await tab.say("Look.", assistant_id=helper.pk)
    called = await tab.until("reply.block", block=1, state="stop")
    for_one = await reserved(called["reply_id"])

    search.may_end.set()
    finished = await tab.until("reply.finished")
    await warmcache.flush()

    assert finished["status"] == "complete"
    for_two = await reserved(called["reply_id"])
    assert for_two > for_one > 0
    assert for_two > Decimal(finished["cost_usd"])
    standing = await standing_of(ann)
    assert (standing.day_units, standing.running) == (units_of(Decimal(finished["cost_usd"])), 0)


async def test_a_limit_that_is_met_between_two_requests_ends_the_reply_with_what_was_said(
    open_tab, ann, helper, search, simulator
):
    tab = await open_tab(ann)
    await tab.say("Look.", assistant_id=helper.pk)
    called = await tab.until("reply.block", block=1, state="stop")
    await in_database_thread(
        UsageLimit.objects.create, applies_to=UsageLimit.AppliesTo.EACH_PERSON, usd_per_day=Decimal("0.01")
    )
    policy.watch.forget()

    search.may_end.set()
    finished = await tab.until("reply.finished")
    await warmcache.flush()

    assert (finished["status"], finished["error"]["code"]) == ("interrupted", "quota_met")
    assert "$0.01 a day" in finished["error"]["message"]
    assert len([each for each in simulator.requests() if each["path"] == "/v1/messages"]) == 1
    row = await in_database_thread(Message.objects.get, pk=called["reply_id"])
    assert row.text == "I look."
    standing = await standing_of(ann)
    assert (standing.day_units, standing.running) == (units_of(Decimal(finished["cost_usd"])), 0)
