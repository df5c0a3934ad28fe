import asyncio
import logging
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError

from tests.servers import PATIENCE_SECONDS
from warmcache import services
from warmcache.conf import Config
from warmcache.models import Intent, WarmPolicy
from warmcache.operator_policy import PolicyWatch, policy_in_force
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime, make_prompt

CONFIG = Config()


class Rows:
    """Stands in for the database: the row it would give, or the trouble it has."""

    def __init__(self, row: WarmPolicy | None = None) -> None:
        self.row = row
        self.error: Exception | None = None

    def read(self) -> WarmPolicy | None:
        if self.error is not None:
            raise self.error
        return self.row


def test_without_a_row_the_settings_are_in_force() -> None:
    policy = policy_in_force(CONFIG)

    assert policy.is_enabled
    assert policy.limits.max_cost_usd == CONFIG.max_cost_per_warm_up_usd
    assert policy.intents == set(Intent) - {Intent.OPEN}
    for name in ("value_of_second_usd", "holdout_share", "user_daily_usd", "user_daily_warm_ups", "daily_usd"):
        assert getattr(policy, name) == getattr(CONFIG, name)


@pytest.mark.parametrize(
    ("name", "value", "in_force"),
    [
        ("value_of_second_usd", Decimal(0), Decimal(0)),
        ("max_cost_per_warm_up_usd", Decimal("1.5"), Decimal("1.5")),
        ("holdout_share", 0.0, 0.0),
        ("holdout_share", 7.0, 1.0),
        ("intents", ["attach"], {"attach"}),
        ("intents", [], set()),
        ("intents", ["attach", "a word of nobody"], {"attach"}),
        ("user_daily_usd", Decimal(0), Decimal(0)),
        ("user_daily_warm_ups", 0, 0),
        ("daily_usd", Decimal(3), Decimal(3)),
        ("daily_warm_ups", 3, 3),
        ("keeps_shared_layers", True, True),
    ],
)
def test_a_field_that_is_not_empty_goes_before_the_settings(name: str, value: Any, in_force: Any) -> None:
    row = WarmPolicy(**{name: value})

    assert getattr(policy_in_force(Config(holdout_share=0.3), row), name) == in_force


@pytest.mark.parametrize(("in_settings", "in_admin"), [(True, False), (False, True), (False, False)])
def test_off_in_one_place_is_off(in_settings: bool, in_admin: bool) -> None:
    assert not policy_in_force(Config(enabled=in_settings), WarmPolicy(is_enabled=in_admin)).is_enabled


async def test_what_the_row_says_now_is_in_force_after_the_next_reading() -> None:
    rows = Rows()
    watch = PolicyWatch(CONFIG, read=rows.read)
    await watch.refresh()
    before = watch.current.is_enabled

    rows.row = WarmPolicy(is_enabled=False)
    await watch.refresh()

    assert (before, watch.current.is_enabled) == (True, False)


async def test_a_database_that_fails_keeps_the_last_policy_and_is_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = Rows(WarmPolicy(daily_warm_ups=7))
    watch = PolicyWatch(CONFIG, read=rows.read)
    await watch.refresh()

    rows.error = OperationalError("gone")
    for _ in range(3):
        await watch.refresh()

    assert watch.current.daily_warm_ups == 7
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_a_row_that_makes_no_sense_keeps_the_last_policy(caplog: pytest.LogCaptureFixture) -> None:
    watch = PolicyWatch(CONFIG, read=Rows(WarmPolicy(intents=5)).read)

    await watch.refresh()

    assert watch.current == policy_in_force(CONFIG)
    assert len(caplog.records) == 1


async def test_the_first_to_ask_waits_for_the_first_reading() -> None:
    watch = PolicyWatch(CONFIG, read=Rows(WarmPolicy(is_enabled=False)).read)
    asking = asyncio.create_task(watch.known())
    await asyncio.sleep(0)

    await watch.refresh()

    assert not (await asking).is_enabled


async def test_a_database_that_never_answers_holds_the_first_to_ask_up_once_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("warmcache.operator_policy.FIRST_READ_PATIENCE_SECONDS", 0.01)
    watch = PolicyWatch(CONFIG)

    first, second = await watch.known(), await watch.known()

    assert first == second == policy_in_force(CONFIG)
    assert len(caplog.records) == 1


async def test_switched_off_means_no_warm_up_and_says_so(fake: FakeRuntime) -> None:
    rows = Rows(WarmPolicy(is_enabled=False))
    fake.runtime.policy = PolicyWatch(fake.runtime.config, read=rows.read)
    await fake.runtime.policy.refresh()

    attempt = await services.prewarm_prefix(make_prompt(), intent="typing")
    shown = await services.warmth_of(services.outline(make_prompt()))

    assert (attempt.decision.reason, shown.reason) == ("warming_off", "warming_off")
    assert fake.provider.sent == []


async def test_the_operators_cap_is_that_of_the_decision(fake: FakeRuntime) -> None:
    fake.runtime.policy = PolicyWatch(
        fake.runtime.config, read=Rows(WarmPolicy(max_cost_per_warm_up_usd=Decimal(0))).read
    )
    await fake.runtime.policy.refresh()

    attempt = await services.prewarm_prefix(make_prompt(), intent="typing")

    assert (attempt.decision.reason, attempt.decision.cap_usd) == ("over_cost_cap", Decimal(0))


@pytest.mark.django_db(transaction=True)
async def test_a_runtime_reads_the_row_of_its_database_again_and_again(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock) as fake:
        assert (await fake.runtime.policy.known()).is_enabled

        await WarmPolicy.objects.acreate(is_enabled=False)

        async with asyncio.timeout(PATIENCE_SECONDS):
            while fake.runtime.policy.current.is_enabled:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
