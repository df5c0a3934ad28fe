"""A host with limits of its own on money: warm-ups ask it, and tell it what they have cost."""

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import pytest

from warmcache import services
from warmcache.core.errors import UpstreamUnavailable
from warmcache.testing import FakeRuntime, fake_runtime, make_prompt


class Wallet:
    """What the host's `Purse` was asked and told."""

    has_money = True
    is_broken = False
    asked: list[tuple[str, Decimal]] = []  # noqa: RUF012 - emptied before each test
    told: list[tuple[Any, Decimal | None]] = []  # noqa: RUF012

    def reserve(self, subject: str, usd: Decimal) -> object | None:
        if Wallet.is_broken:
            raise ConnectionError("no database")
        Wallet.asked.append((subject, usd))
        return len(Wallet.asked) if Wallet.has_money else None

    def settle(self, reserved: Any, billed_usd: Decimal | None) -> None:
        Wallet.told.append((reserved, billed_usd))


@pytest.fixture(autouse=True)
def wallet() -> Iterator[type[Wallet]]:
    Wallet.has_money, Wallet.is_broken = True, False
    Wallet.asked.clear()
    Wallet.told.clear()
    yield Wallet


@pytest.fixture
async def fake() -> AsyncIterator[FakeRuntime]:
    async with fake_runtime(has_database=False, purse=f"{__name__}.Wallet") as fake:
        yield fake


async def warm(number: int = 0, subject: str = "user 1") -> services.Warmth:
    prompt = make_prompt(system_tokens=0, name=f"chat {number}", turns=4)
    attempt = await services.prewarm_prefix(prompt, intent="typing", label="helpdesk", subject=subject)
    return await attempt.finished() if attempt.finished else attempt.warmth


async def test_the_cost_is_set_aside_before_the_call_and_what_was_billed_is_told_after_it(fake: FakeRuntime) -> None:
    assert (await warm()).state == "warm"

    [(subject, usd)], [(reserved, billed_usd)] = Wallet.asked, Wallet.told
    assert (subject, reserved) == ("user 1", 1)
    assert billed_usd is not None
    assert usd > 0 < billed_usd


async def test_without_money_nothing_is_sent_and_the_guards_take_nothing(fake: FakeRuntime) -> None:
    Wallet.has_money = False
    refused = await warm()
    fake.clock.advance(60)
    Wallet.has_money = True

    assert (refused.reason, fake.provider.warm_up_count) == ("user_budget", 0)
    assert [(await warm(number)).reason for number in (1, 2, 3, 4)] == [None, None, None, "no_credit"]


async def test_a_key_press_at_an_empty_purse_does_not_ask_again_at_once(fake: FakeRuntime) -> None:
    Wallet.has_money = False
    await warm(0)

    assert (await warm(1)).reason == "user_budget"
    assert len(Wallet.asked) == 1


async def test_a_call_that_failed_gives_all_back(fake: FakeRuntime) -> None:
    fake.provider.fail(UpstreamUnavailable("overloaded", "busy"), kind="warm_up")

    assert (await warm()).state == "failed"

    assert Wallet.told == [(1, Decimal(0))]


async def test_a_purse_that_does_not_answer_pays_nothing(fake: FakeRuntime) -> None:
    Wallet.is_broken = True

    assert (await warm()).reason == "store_unavailable"
    assert fake.provider.warm_up_count == 0
