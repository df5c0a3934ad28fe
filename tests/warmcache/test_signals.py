"""What a host is told for its own metrics."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from warmcache import services
from warmcache.signals import billed, settled, skipped
from warmcache.testing import fake_runtime, make_prompt

Told = list[tuple[str, str]]


@pytest.fixture
def told() -> Iterator[Told]:
    found: Told = []

    def hear_settled(outcome: str, label: str, intent: str, **_: Any) -> None:
        assert (label, intent) == ("host", "typing")
        found.append(("settled", str(outcome)))
        raise ZeroDivisionError("a receiver's own error")

    def hear_skipped(reason: str, **_: Any) -> None:
        found.append(("skipped", str(reason)))

    def hear_billed(label: str, intent: str, cost_usd: Decimal | None, **_: Any) -> None:
        assert cost_usd is not None and cost_usd > 0
        found.append(("billed", f"{label} {intent}"))

    settled.connect(hear_settled)
    billed.connect(hear_billed)
    skipped.connect(hear_skipped)
    yield found
    settled.disconnect(hear_settled)
    billed.disconnect(hear_billed)
    skipped.disconnect(hear_skipped)


@pytest.mark.django_db(transaction=True)
async def test_a_host_hears_of_skips_and_of_each_outcome_and_its_errors_cost_nothing(told: Told) -> None:
    async with fake_runtime() as fake:
        attempt = await services.prewarm_prefix(make_prompt(), intent="typing", label="host")
        await attempt.finished()
        await services.prewarm_prefix(make_prompt(), intent="typing", label="host")
        answer = await services.respond(make_prompt(), "And now?", max_tokens=10, label="host")
        await services.flush()
        assert fake.runtime.ledger.dropped_writes == 0

    assert answer.result.settlement.warmth == "hit"
    assert told == [("billed", "host typing"), ("skipped", "already_warm"), ("settled", "hit")]
