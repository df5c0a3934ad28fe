"""Warm, send, and read what the ledger's rows say of it."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

from warmcache import Purpose, RequestStatus, services
from warmcache.background.database import in_database_thread
from warmcache.core.origin import Origin
from warmcache.core.prefix import Prompt
from warmcache.ledger import rows as records
from warmcache.ledger.rows import RequestFacts
from warmcache.models import WarmUp, WarmUpLine
from warmcache.testing import make_prefix, make_prompt, make_turn
from warmcache.upstream.prices import rates_for

DEAR = Decimal(100)
"""A second is worth so much that the rule always says warm."""
RATES = rates_for("claude-sonnet-5-5", 5000)


async def warm(prompt: Prompt | None = None, **options: Any) -> services.Attempt:
    attempt = await services.prewarm_prefix(prompt or make_prompt(), intent="typing", **options)
    if attempt.finished:
        await attempt.finished()
    return attempt


async def send(prompt: Prompt | None = None, **options: Any) -> services.ResponseStream:
    response = services.stream_response(prompt or make_prompt(), make_turn(), max_tokens=100, **options)
    async with response:
        [event async for event in response]
    return response


async def rows(model: type[Any] = WarmUp) -> list[Any]:
    await services.flush()
    return await in_database_thread(lambda: list(model.objects.order_by("started_at", "id")))


async def lines_of(row: WarmUp) -> list[WarmUpLine]:
    return await in_database_thread(lambda: list(row.lines.order_by("position")))


async def outcomes_of(row: WarmUp) -> list[tuple[str, str]]:
    return [(line.layer, line.outcome) for line in await lines_of(row)]


async def only_warm_up() -> WarmUp:
    (row,) = await rows()
    return row


async def only_of(warm_up_id: Any) -> WarmUp:
    return await in_database_thread(lambda: WarmUp.objects.get(pk=warm_up_id))


def facts_of(prefix: Any, origin: Origin, **changes: Any) -> RequestFacts:
    facts = RequestFacts(
        id=uuid4(),
        origin=origin,
        purpose=Purpose.REPLY,
        prefix=prefix,
        started_at=0.0,
        duration_ms=10,
        ttft_ms=5,
        status=RequestStatus.COMPLETE,
        error_code=None,
        request_id="r",
        found=None,
        usage=None,
        rates=None,
        joined_id=None,
        raced_id=None,
        waited_ms=0,
    )
    return replace(facts, **changes)


def facts_of_warm_up(**prompt: Any) -> records.WarmUpFacts:
    return records.WarmUpFacts(
        id=uuid4(),
        origin=Origin(label="", subject="", upstream="simulator"),
        prefix=make_prefix(**prompt),
        intent="typing",
        reason="cold",
        started_at=100.0,
    )
