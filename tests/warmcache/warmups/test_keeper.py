"""Shared layers: held by one process at a time, only where it pays, warmed only when nobody else did it."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.servers import PATIENCE_SECONDS
from warmcache import services
from warmcache.core.prefix import Prompt
from warmcache.core.shared_layers import Arrivals
from warmcache.models import UsageRecord, WarmPolicy
from warmcache.operator_policy import PolicyWatch
from warmcache.runtime.state import Runtime
from warmcache.testing import FakeClock, FakeRuntime, make_prompt, make_turn
from warmcache.warmups import keeper as keepers
from warmcache.warmups import shared_layers
from warmcache.warmups.keeper import Keeper, holders
from warmcache.warmups.layer_report import report_on
from warmcache.warmups.shared_layers import SharedLayer, arrivals_at, registered_layers

BUSY = Arrivals(recent=9, recent_hours=3, same_hour=21, same_hours=7)
ROUND = 30.0
QUIET = Arrivals(recent_hours=3, same_hours=7)


class Shared:
    """What the host has to keep: label -> prompt, None for one that is gone meanwhile."""

    def __init__(self) -> None:
        self.prompts: dict[str, Prompt | None] = {"guide": make_prompt(system_tokens=15_000, shared_ttl="1h")}
        self.arrivals: dict[str, Arrivals] = {}
        self.loads = 0

    def listed(self) -> list[SharedLayer]:
        return [SharedLayer(label=label, load=lambda label=label: self.load(label)) for label in self.prompts]

    def load(self, label: str) -> Prompt | None:
        self.loads += 1
        return self.prompts[label]

    def arrivals_at(self, now: float, labels: list[str], *, upstream: str) -> dict[str, Arrivals]:
        return {label: self.arrivals.get(label, BUSY) for label in labels}


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Shared:
    shared = Shared()
    monkeypatch.setattr(shared_layers, "_listings", [shared.listed])
    monkeypatch.setattr(keepers, "arrivals_at", shared.arrivals_at)
    return shared


async def let(runtime: Runtime, **knobs: Any) -> None:
    """The operator's choice."""
    row = WarmPolicy(**{"keeps_shared_layers": True, **knobs})
    runtime.policy = PolicyWatch(runtime.config, read=lambda: row)
    await runtime.policy.refresh()


@pytest.fixture
async def keeper(fake: FakeRuntime, shared: Shared) -> Keeper:
    await let(fake.runtime)
    return Keeper(fake.runtime)


async def run_for(keeper: Keeper, clock: FakeClock, seconds: float) -> None:
    """In rounds that are longer than the real ones, and shorter than a lease."""
    for _ in range(int(seconds // ROUND)):
        clock.advance(ROUND)
        await keeper.take_turn()


async def test_a_layer_that_pays_is_warmed_and_renewed_before_it_lapses(
    keeper: Keeper, fake: FakeRuntime, clock: FakeClock
) -> None:
    await keeper.take_turn()
    await run_for(keeper, clock, 3 * 3600)

    calls = [(call.kind, call.usage.cache_write_tokens > 0) for call in fake.provider.sent if call.usage]
    assert calls == [("warm_up", True), ("warm_up", False), ("warm_up", False), ("warm_up", False)]
    assert [round(b.at - a.at) for a, b in zip(fake.provider.sent, fake.provider.sent[1:], strict=False)] == [3240] * 3


async def test_keeping_is_off_unless_the_operator_wants_it(fake: FakeRuntime, shared: Shared) -> None:
    await Keeper(fake.runtime).take_turn()

    assert (fake.provider.sent, shared.loads) == ([], 0)
    assert await holders(fake.runtime.store, ["guide"]) == {}


@pytest.mark.parametrize("knobs", [{"keeps_shared_layers": False}, {"is_enabled": False}, {"intents": ["typing"]}])
async def test_switched_off_it_gives_its_layers_back(keeper: Keeper, fake: FakeRuntime, knobs: dict[str, Any]) -> None:
    await keeper.take_turn()
    held = await holders(fake.runtime.store, ["guide"])

    await let(fake.runtime, **knobs)
    await keeper.take_turn()

    assert held == {"guide": keeper.name}
    assert await holders(fake.runtime.store, ["guide"]) == {}


async def test_a_layer_that_people_use_costs_the_keeper_nothing(
    keeper: Keeper, fake: FakeRuntime, shared: Shared, clock: FakeClock
) -> None:
    prompt = shared.prompts["guide"]
    assert prompt is not None
    for _ in range(6):
        async with services.stream_response(prompt, make_turn(), max_tokens=9) as response:
            async for _ in response:
                pass
        await run_for(keeper, clock, 1800)

    assert fake.provider.warm_up_count == 0


async def test_where_it_does_not_pay_nothing_is_sent_and_the_reason_is_counted_once_per_forecast(
    keeper: Keeper, fake: FakeRuntime, shared: Shared, clock: FakeClock
) -> None:
    shared.arrivals["guide"] = QUIET

    await run_for(keeper, clock, keepers.FORECAST_SECONDS - ROUND)

    counted = {(label, intent, reason): n for (_, label, intent, reason), n in fake.runtime.ledger._skips.items()}
    assert fake.provider.sent == []
    assert counted == {("guide", "keep", "holding_does_not_pay"): 1}


async def test_the_reason_is_counted_by_a_clock_that_does_not_stand_still(
    keeper: Keeper, fake: FakeRuntime, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared.arrivals["guide"] = QUIET
    moments = itertools.count(fake.clock.now())
    monkeypatch.setattr(fake.clock, "now", lambda: float(next(moments)))

    await keeper.take_turn()

    assert [reason for (_, _, _, reason) in fake.runtime.ledger._skips] == ["holding_does_not_pay"]


async def test_overnight_it_lets_go(keeper: Keeper, fake: FakeRuntime, shared: Shared, clock: FakeClock) -> None:
    await keeper.take_turn()
    shared.arrivals["guide"] = QUIET

    await run_for(keeper, clock, 5 * 3600)

    assert fake.provider.warm_up_count == 1


async def test_an_edited_layer_is_warmed_anew(
    keeper: Keeper, fake: FakeRuntime, shared: Shared, clock: FakeClock
) -> None:
    await keeper.take_turn()
    shared.prompts["guide"] = make_prompt(system_tokens=16_000, shared_ttl="1h", tools=({"name": "new"},))

    await run_for(keeper, clock, keepers.FORECAST_SECONDS + ROUND)

    assert fake.provider.warm_up_count == 2
    assert len(fake.provider.writes) == 2


async def test_a_layer_whose_lifetime_is_left_open_is_held_with_the_one_that_requests_get(
    keeper: Keeper, fake: FakeRuntime, shared: Shared, clock: FakeClock
) -> None:
    shared.prompts["guide"] = make_prompt(system_tokens=15_000, shared_ttl="auto")

    await keeper.take_turn()
    await run_for(keeper, clock, 300)

    first, second = fake.provider.sent
    assert [point.ttl_seconds for point in first.request.prefix.breakpoints] == [300]
    assert second.at - first.at == 270


async def test_a_layer_that_is_gone_is_forgotten(
    keeper: Keeper, fake: FakeRuntime, shared: Shared, clock: FakeClock
) -> None:
    shared.prompts["guide"] = None

    await run_for(keeper, clock, 60)

    assert fake.provider.sent == []


async def test_each_layer_is_held_by_one_of_many_processes(fake: FakeRuntime, shared: Shared, clock: FakeClock) -> None:
    await let(fake.runtime)
    for n in range(4):
        shared.prompts[f"other-{n}"] = make_prompt(system_tokens=9000 + n, name=f"{n}", shared_ttl="1h")
    keepers_ = [Keeper(fake.runtime) for _ in range(3)]

    for _ in range(20):
        clock.advance(keepers.ROUND_SECONDS)
        for each in keepers_:
            await each.take_turn()

    assert fake.provider.warm_up_count == 5
    assert set((await holders(fake.runtime.store, list(shared.prompts))).values()) == {keepers_[0].name}


async def test_another_process_follows_one_that_died(
    keeper: Keeper, fake: FakeRuntime, shared: Shared, clock: FakeClock
) -> None:
    heir = Keeper(fake.runtime)
    await keeper.take_turn()
    await heir.take_turn()
    before = await holders(fake.runtime.store, ["guide"])

    await run_for(heir, clock, keepers.LEASE_SECONDS + ROUND)

    assert before == {"guide": keeper.name}
    assert await holders(fake.runtime.store, ["guide"]) == {"guide": heir.name}
    assert fake.provider.warm_up_count == 1


async def test_a_round_that_fails_is_followed_by_another(
    fake: FakeRuntime, shared: Shared, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await fake.runtime._starters.close()  # its own keeper would go round as fast, and hold the layer after this one
    await let(fake.runtime)
    monkeypatch.setattr(keepers, "ROUND_SECONDS", 0.01)
    fake.provider.hold_warm_ups()
    times = []

    def listed() -> list[SharedLayer]:
        times.append(len(times))
        if len(times) == 1:
            raise ValueError("the host's own mistake")
        return shared.listed()

    monkeypatch.setattr(shared_layers, "_listings", [listed])
    running = asyncio.create_task(keepers.keep_forever(fake.runtime))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await fake.provider.warm_ups_in_flight()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert "the host's own mistake" in caplog.text
    assert await holders(fake.runtime.store, ["guide"]) == {}


async def test_a_layer_that_cannot_be_loaded_keeps_none_of_the_others_cold(
    keeper: Keeper, fake: FakeRuntime, shared: Shared, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = SharedLayer(label="a broken one", load=lambda: 1 / 0)
    monkeypatch.setattr(shared_layers, "_listings", [lambda: [broken, *shared.listed()]])

    await keeper.take_turn()

    assert fake.provider.warm_up_count == 1
    assert "a broken one" in caplog.text


def test_a_label_that_two_listings_name_is_kept_once(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = SharedLayer(label="a", load=lambda: None)
    monkeypatch.setattr(shared_layers, "_listings", [lambda: [layer], lambda: [layer]])

    assert registered_layers() == [layer]


NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)


def use(label: str, at: datetime, **fields: Any) -> None:
    UsageRecord.objects.create(
        **{"label": label, "started_at": at, "upstream": "simulator", "status": "complete", "warmth": "hit", **fields}
    )


@pytest.mark.django_db
def test_arrivals_are_counted_from_the_ledger() -> None:
    use("guide", NOW - timedelta(days=30))
    for minutes in (5, 100, 170, 190):
        use("guide", NOW - timedelta(minutes=minutes))
    for days in range(1, 8):
        use("guide", NOW - timedelta(days=days) + timedelta(minutes=30))
        use("guide", NOW - timedelta(days=days) - timedelta(minutes=30))
    use("guide", NOW - timedelta(minutes=5), purpose="title")
    use("guide", NOW - timedelta(minutes=5), upstream="anthropic")
    use("other", NOW - timedelta(minutes=5))

    found = arrivals_at(NOW.timestamp(), ["guide", "unheard of"], upstream="simulator")

    assert found["guide"] == Arrivals(recent=3, recent_hours=3, same_hour=7, same_hours=7)
    assert found["unheard of"].per_hour == 0


@pytest.mark.django_db
def test_a_young_ledger_counts_only_the_hours_it_has_seen() -> None:
    use("guide", NOW - timedelta(days=2, minutes=1))
    use("guide", NOW - timedelta(minutes=2))

    found = arrivals_at(NOW.timestamp(), ["guide"], upstream="simulator")

    assert found["guide"] == Arrivals(recent=1, recent_hours=3, same_hour=0, same_hours=2)


@pytest.mark.django_db
def test_without_any_record_nothing_is_expected() -> None:
    assert arrivals_at(NOW.timestamp(), ["guide"], upstream="simulator")["guide"].per_hour == 0


@pytest.mark.django_db
def test_the_operator_is_told_what_holding_would_cost_while_it_is_off() -> None:
    use("guide", NOW - timedelta(days=30), upstream="simulator")
    for hours in range(3):
        use("guide", NOW - timedelta(hours=hours, minutes=1))
    prompt = make_prompt(system_tokens=15_000, shared_ttl="1h")

    found = report_on(SharedLayer(label="guide", load=lambda: prompt), NOW.timestamp())
    gone = report_on(SharedLayer(label="guide", load=lambda: None), NOW.timestamp())

    assert found is not None and gone is None
    assert not found.is_keeping_on
    assert found.forecast.requests_per_hour == pytest.approx(0.3)
    assert found.forecast.should_hold
    assert (found.count, found.last_at) == (0, None)
