"""What every `Allowances` keeps. A new one gets a class that inherits this and an `allowances` fixture."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from warmcache.core.guards import DAY_SECONDS, Adjust, Charge, Draw, Expectation, Pay, Strike, Terms, Undo, Unopened
from warmcache.core.ports import Allowances
from warmcache.testing import FakeClock

TERMS = Terms(free=2, first_pause_seconds=10, longest_pause_seconds=25, most_unused_in_a_day=5)


def charge(amount: int = 1, account: str = "a", **values: Any) -> Charge:
    return Charge(**{"account": account, "amount": amount, "limit": 10, "reason": "budget", **values})


def draw(account: str = "a", **values: Any) -> Draw:
    return Draw(**{"account": account, "terms": TERMS, "reason": "no_credit", **values})


def expectation(prefix_hash: str, now: float, **values: Any) -> Expectation:
    return Expectation(
        **{
            "prefix_hash": prefix_hash,
            "tokens": 4000,
            "readable_at": now,
            "expires_at": now + 300,
            "missed_at": now + 900,
            "is_deepest": True,
            "is_shared": False,
            "subject_account": "s",
            "key_account": "k",
            "label_account": "l",
            **values,
        }
    )


class AllowancesContract:
    """Fixtures to give: `allowances`, and `clock`, a `FakeClock` that they go by.

    One that also lives by its server's clock overrides `pass_time`.
    """

    @pytest.fixture
    def pass_time(self, clock: FakeClock) -> Callable[[float], Awaitable[None]]:
        async def advance(seconds: float) -> None:
            clock.advance(seconds)

        return advance

    async def test_nothing_is_refused_where_nothing_is_asked(self, allowances: Allowances) -> None:
        assert await allowances.reserve([]) is None
        await allowances.settle([])
        await allowances.expect([])
        assert list(await allowances.take_met([], started_at=0)) == []

    async def test_an_account_takes_charges_up_to_its_limit_and_not_beyond(self, allowances: Allowances) -> None:
        taken = [await allowances.reserve([charge(4)]) for _ in range(2)]
        over = await allowances.reserve([charge(3)])
        exact = await allowances.reserve([charge(2)])

        assert (taken, exact) == ([None, None], None)
        assert over is not None
        assert (over.claim, over.until) == (charge(3), None)

    async def test_a_limit_of_nothing_refuses_everything(self, allowances: Allowances) -> None:
        assert await allowances.reserve([charge(1, limit=0)]) is not None

    async def test_amounts_of_millions_of_dollars_are_exact(self, allowances: Allowances) -> None:
        most = 5_000_000 * 10**8

        assert await allowances.reserve([charge(most - 1, limit=most)]) is None
        assert await allowances.reserve([charge(2, limit=most)]) is not None
        assert await allowances.reserve([charge(1, limit=most)]) is None

    async def test_many_who_charge_at_once_never_exceed_the_limit(self, allowances: Allowances) -> None:
        answers = await asyncio.gather(*(allowances.reserve([charge(1), draw(f"{n}")]) for n in range(40)))

        assert answers.count(None) == 10

    async def test_all_or_nothing_is_taken_and_the_first_refusal_is_told(self, allowances: Allowances) -> None:
        for _ in range(2):
            await allowances.reserve([draw("trust")])

        refusal = await allowances.reserve([charge(10), draw("trust"), charge(99, "other")])

        assert refusal is not None
        assert refusal.claim == draw("trust")
        assert await allowances.reserve([charge(10)]) is None

    async def test_an_account_of_charges_is_forgotten_in_time(
        self, allowances: Allowances, pass_time: Callable[[float], Awaitable[None]]
    ) -> None:
        await allowances.reserve([charge(6, lives_seconds=100)])
        await pass_time(60)
        await allowances.reserve([charge(4, lives_seconds=100)])

        await pass_time(41)

        assert await allowances.reserve([charge(10)]) is None

    async def test_an_account_that_must_be_open_takes_nothing_before_it_was_opened_with_what_is_spent(
        self, allowances: Allowances
    ) -> None:
        claims = [draw(), charge(1, "open"), charge(1, must_be_open=True)]

        assert await allowances.reserve(claims) == Unopened()
        await allowances.open([charge(9, limit=0)])
        await allowances.open([charge(2, limit=0)])

        assert await allowances.reserve([charge(9, "open")]) is None, "nothing was taken from the others either"
        assert await allowances.reserve([charge(1, must_be_open=True)]) is None
        assert await allowances.reserve([charge(1, must_be_open=True)]) is not None

    async def test_an_adjustment_changes_what_is_left(self, allowances: Allowances) -> None:
        await allowances.reserve([charge(10)])

        await allowances.settle([Adjust(account="a", amount=-3)])

        assert await allowances.reserve([charge(4)]) is not None
        assert await allowances.reserve([charge(3)]) is None

    async def test_what_is_no_longer_there_is_not_adjusted(self, allowances: Allowances) -> None:
        await allowances.settle([Adjust(account="a", amount=-100)])

        assert await allowances.reserve([charge(11)]) is not None

    async def test_trust_is_used_up_and_then_comes_back_ever_more_slowly(
        self, allowances: Allowances, clock: FakeClock
    ) -> None:
        given = []
        for second in range(100):
            if await allowances.reserve([draw()]) is None:
                given.append(second)
            clock.advance(1)

        assert given == [0, 1, 11, 31, 56]

    async def test_a_refusal_says_until_when(self, allowances: Allowances, clock: FakeClock) -> None:
        for _ in range(2):
            await allowances.reserve([draw()])

        refusal = await allowances.reserve([draw()])

        assert refusal is not None
        assert refusal.until == pytest.approx(clock.now() + 10)

    async def test_no_more_than_so_many_unused_in_a_day_however_long_the_waits(
        self, allowances: Allowances, clock: FakeClock
    ) -> None:
        began_at = clock.now()
        for _ in range(5):
            assert await allowances.reserve([draw()]) is None
            clock.advance(30)
        refusal = await allowances.reserve([draw()])
        clock.advance(DAY_SECONDS - 5 * 30 + 1)

        assert refusal is not None
        assert refusal.until == pytest.approx(began_at + DAY_SECONDS)
        assert await allowances.reserve([draw()]) is None

    async def test_one_that_is_paid_for_ends_the_waits_and_makes_room_for_one(
        self, allowances: Allowances, clock: FakeClock
    ) -> None:
        for _ in range(5):
            await allowances.reserve([draw()])
            clock.advance(30)

        await allowances.settle([Pay(account="a")])

        assert await allowances.reserve([draw()]) is None
        assert await allowances.reserve([draw()]) is not None

    async def test_paying_where_nothing_is_owed_earns_nothing(self, allowances: Allowances) -> None:
        await allowances.settle([Pay(account="a")] * 9)

        given = [await allowances.reserve([draw()]) for _ in range(4)]

        assert [answer is None for answer in given] == [True, True, False, False]

    async def test_one_that_never_happened_is_given_back(self, allowances: Allowances) -> None:
        for _ in range(2):
            await allowances.reserve([draw()])

        await allowances.settle([Undo(account="a", terms=TERMS)])

        assert await allowances.reserve([draw()]) is None
        assert await allowances.reserve([draw()]) is not None

    async def test_what_does_not_count_at_once_counts_when_it_is_known_to_be_unused(
        self, allowances: Allowances
    ) -> None:
        uncounted = draw(is_counted=False)
        before = [await allowances.reserve([uncounted]) for _ in range(20)]

        await allowances.settle([Strike(account="a", terms=TERMS)])
        between = await allowances.reserve([uncounted])
        await allowances.settle([Strike(account="a", terms=TERMS)])

        assert (before, between) == ([None] * 20, None)
        assert await allowances.reserve([uncounted]) is not None

    async def test_after_a_pause_one_goes_alone_and_what_was_under_way_does_not_lengthen_it(
        self, allowances: Allowances, clock: FakeClock
    ) -> None:
        uncounted = draw(is_counted=False)
        await allowances.settle([Strike(account="a", terms=TERMS, count=9), Strike(account="a", terms=TERMS, count=9)])
        refused = await allowances.reserve([uncounted])
        clock.advance(10)

        probe = await allowances.reserve([uncounted])
        second = await allowances.reserve([uncounted])

        assert refused is not None and second is not None
        assert probe is None
        assert second.until == pytest.approx(clock.now() + 20)

    async def test_an_expectation_is_met_once(self, allowances: Allowances, clock: FakeClock) -> None:
        expected = expectation("h", clock.now(), tokens=77, is_shared=True)
        await allowances.expect([expected, expectation("other", clock.now())])

        first = await allowances.take_met(["x", "h"], started_at=clock.now() + 1)
        second = await allowances.take_met(["x", "h"], started_at=clock.now() + 1)

        assert (list(first), list(second)) == ([expected], [])

    async def test_of_many_requests_at_once_one_meets_it(self, allowances: Allowances, clock: FakeClock) -> None:
        await allowances.expect([expectation("h", clock.now())])

        met = await asyncio.gather(*(allowances.take_met(["h"], started_at=clock.now()) for _ in range(20)))

        assert sum(len(found) for found in met) == 1

    async def test_a_request_that_came_too_early_or_too_late_could_not_read_it(
        self, allowances: Allowances, clock: FakeClock
    ) -> None:
        await allowances.expect([expectation("h", clock.now())])

        for started_at in (clock.now() - 1, clock.now() + 300):
            assert list(await allowances.take_met(["h"], started_at=started_at)) == []

    async def test_a_newer_expectation_replaces_the_older(self, allowances: Allowances, clock: FakeClock) -> None:
        older = expectation("h", clock.now())
        newer = replace(older, tokens=5, missed_at=clock.now() + 1000)
        await allowances.expect([older])
        await allowances.expect([newer])
        clock.advance(950)

        early = await allowances.take_missed()
        clock.advance(60)

        assert list(early) == []
        assert list(await allowances.take_missed()) == [newer]

    async def test_what_nobody_came_for_is_given_out_once(self, allowances: Allowances, clock: FakeClock) -> None:
        expected = expectation("h", clock.now())
        await allowances.expect([expected])
        early = await allowances.take_missed()
        clock.advance(901)

        assert list(early) == []
        assert list(await allowances.take_missed()) == [expected]
        assert list(await allowances.take_missed()) == []

    async def test_what_was_met_is_not_missed(self, allowances: Allowances, clock: FakeClock) -> None:
        await allowances.expect([expectation("h", clock.now())])
        await allowances.take_met(["h"], started_at=clock.now())
        clock.advance(901)

        assert list(await allowances.take_missed()) == []

    async def test_what_is_forgotten_is_as_new_and_nothing_else_is(self, allowances: Allowances) -> None:
        for account in ("a", "b"):
            await allowances.reserve([charge(10, account), draw(account), draw(account)])

        await allowances.forget(["a", "never seen"])
        await allowances.forget([])

        assert await allowances.reserve([charge(10, "a"), draw("a"), draw("a")]) is None
        assert await allowances.reserve([charge(1, "b")]) is not None
        assert await allowances.reserve([draw("b")]) is not None
