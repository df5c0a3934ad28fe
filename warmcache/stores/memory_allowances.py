"""The allowances of one process, in memory: budgets, trust and expectations."""

from collections.abc import MutableMapping, Sequence
from typing import Any

from warmcache.core.guards import (
    Adjust,
    Change,
    Charge,
    Claim,
    Expectation,
    Pay,
    Refusal,
    Strike,
    Trust,
    Undo,
    Unopened,
)
from warmcache.core.ports import Clock

MAX_ACCOUNTS = 20_000
"""Limit per kind; the least recently used one is forgotten first."""

MAX_MISSED_AT_ONCE = 100


class MemoryAllowances:
    """`Allowances` for one process and one event loop."""

    def __init__(
        self, *, clock: Clock, stops: MutableMapping[str, Any] | None = None, max_accounts: int = MAX_ACCOUNTS
    ) -> None:
        """`stops`: the store's own, by name."""
        self._clock = clock
        self._stops = stops if stops is not None else {}
        self._max_accounts = max_accounts
        self._sums: dict[str, tuple[int, float]] = {}
        self._trusts: dict[str, Trust] = {}
        self._expected: dict[str, Expectation] = {}

    async def reserve(self, claims: Sequence[Claim]) -> Refusal | Unopened | None:
        now = self._clock.now()
        if any(isinstance(c, Charge) and c.must_be_open and not self._sum(c.account, now)[1] for c in claims):
            return Unopened()
        for claim in claims:
            refusal = self._refusal(claim, now)
            if refusal is not None:
                return refusal
        for claim in claims:
            self._take(claim, now)
        return None

    async def open(self, charges: Sequence[Charge]) -> None:
        now = self._clock.now()
        for charge in charges:
            if not self._sum(charge.account, now)[1]:
                self._take(charge, now)

    async def settle(self, changes: Sequence[Change]) -> None:
        now = self._clock.now()
        for change in changes:
            if isinstance(change, Adjust):
                self._adjust(change, now)
            else:
                self._keep(change.account, _changed(self._trust(change.account), change, now))
            if isinstance(change, Pay | Undo):
                self._stops.pop(change.account, None)

    async def expect(self, expectations: Sequence[Expectation]) -> None:
        for expectation in expectations:
            self._expected.pop(expectation.prefix_hash, None)
            self._expected[expectation.prefix_hash] = expectation
        self._bound(self._expected)

    async def take_met(
        self, hashes: Sequence[str], *, started_at: float, changes: Sequence[Change] = ()
    ) -> Sequence[Expectation]:
        await self.settle(changes)
        found = [self._expected[prefix_hash] for prefix_hash in hashes if prefix_hash in self._expected]
        return self._taken([e for e in found if e.readable_at <= started_at < e.expires_at])

    async def take_missed(self) -> Sequence[Expectation]:
        now = self._clock.now()
        found = [expectation for expectation in self._expected.values() if expectation.missed_at <= now]
        return self._taken(found[:MAX_MISSED_AT_ONCE])

    async def forget(self, accounts: Sequence[str]) -> None:
        for account in accounts:
            for entries in (self._sums, self._trusts, self._stops):
                entries.pop(account, None)

    def _refusal(self, claim: Claim, now: float) -> Refusal | None:
        if isinstance(claim, Charge):
            is_over = self._sum(claim.account, now)[0] + claim.amount > claim.limit
            return Refusal(claim=claim, until=None) if is_over else None
        until = self._trust(claim.account).refused_until(claim.terms, now)
        return Refusal(claim=claim, until=until) if until is not None else None

    def _take(self, claim: Claim, now: float) -> None:
        if isinstance(claim, Charge):
            spent, lives_until = self._sum(claim.account, now)
            self._sums.pop(claim.account, None)
            self._sums[claim.account] = (spent + claim.amount, lives_until or now + claim.lives_seconds)
            self._bound(self._sums)
            return
        trust = self._trust(claim.account)
        self._keep(claim.account, (trust.taken if claim.is_counted else trust.probed)(claim.terms, now))

    def _adjust(self, change: Adjust, now: float) -> None:
        spent, lives_until = self._sum(change.account, now)
        if lives_until:
            self._sums[change.account] = (spent + change.amount, lives_until)

    def _sum(self, account: str, now: float) -> tuple[int, float]:
        """The sum of an account and its expiry; (0, 0) if there is none."""
        spent, lives_until = self._sums.get(account, (0, 0.0))
        return (spent, lives_until) if lives_until > now else (0, 0.0)

    def _trust(self, account: str) -> Trust:
        return self._trusts.get(account, _NEW)

    def _keep(self, account: str, trust: Trust) -> None:
        self._trusts.pop(account, None)
        if trust != _NEW:
            self._trusts[account] = trust
            self._bound(self._trusts)

    def _taken(self, expectations: list[Expectation]) -> list[Expectation]:
        for expectation in expectations:
            self._expected.pop(expectation.prefix_hash, None)
        return list({expectation.prefix_hash: expectation for expectation in expectations}.values())

    def _bound(self, entries: dict[str, Any]) -> None:
        while len(entries) > self._max_accounts:
            del entries[next(iter(entries))]


def _changed(trust: Trust, change: Pay | Undo | Strike, now: float) -> Trust:
    match change:
        case Pay():
            return trust.paid()
        case Undo():
            return trust.undone(change.terms)
        case Strike():
            return trust.struck(change.terms, now, change.count)


_NEW = Trust()
