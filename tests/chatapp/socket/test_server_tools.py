"""What the provider's own tools cost, from the end of its stream to the ledger and the reply."""

from dataclasses import fields
from decimal import Decimal

import pytest

from chatapp.models import Message
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread
from warmcache.core.economics import request_cost_usd
from warmcache.core.usage import Usage
from warmcache.models import UsageRecord
from warmcache.upstream.prices import rates_for

pytestmark = pytest.mark.django_db(transaction=True)


def cost_of_tokens(record: UsageRecord) -> Decimal:
    rates = rates_for(record.model, 1000)
    assert rates is not None
    counters = [field.name for field in fields(Usage) if field.name.endswith("_tokens")]
    return request_cost_usd(Usage(**{name: getattr(record, name) for name in counters}), rates)


async def test_web_searches_are_counted_and_in_the_cost(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    simulator.script(text="Found it.")
    await tab.say("Without a search", assistant_id=assistant.pk)
    await tab.until("reply.finished")
    counters = {"server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1}}
    simulator.script(text="Found it.", usage=counters)
    await tab.say("With two searches", assistant_id=assistant.pk)
    searched = await tab.until("reply.finished")
    await warmcache.flush()

    records = await in_database_thread(lambda: list(UsageRecord.objects.order_by("started_at")))
    assert [(record.web_searches, record.web_fetches) for record in records] == [(0, 0), (2, 1)]
    assert Decimal(searched["cost_usd"]) == records[1].cost_usd
    assert records[1].cost_usd == cost_of_tokens(records[1]) + Decimal("0.02")
    row = await in_database_thread(Message.objects.get, pk=searched["reply_id"])
    assert row.cost_usd == records[1].cost_usd
