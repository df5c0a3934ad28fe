"""What a host is told for its own metrics."""

from collections.abc import Iterator
from typing import Any

import pytest

from warmcache import services
from warmcache.signals import settled, skipped
from warmcache.testing import fake_runtime, make_prompt

Told = list[tuple[str, str]]


@pytest.fixture
def told() -> Iterator[Told]:
    found: Told = []

    def hear_settled(outcome: str, **_: Any) -> None:
        found.append(("settled", str(outcome)))
        raise ZeroDivisionError("a receiver's own error")

    def hear_skipped(reason: str, **_: Any) -> None:
        found.append(("skipped", str(reason)))

    settled.connect(hear_settled)
    skipped.connect(hear_skipped)
    yield found
    settled.disconnect(hear_settled)
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
    assert told == [("skipped", "already_warm"), ("settled", "hit")]
