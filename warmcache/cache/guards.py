"""The guards around a warm-up: credits, budgets and breakers, shared by all processes of one store.

    before the call     `admit`: one step takes a credit and reserves the cost, or returns the reason to refuse
    after it            `settle` with what was billed, or `refund` if nothing came of it
    a real request      `note_request`: gives a credit back; finds warm-ups that were read or should have been
    now and then        `note_missed`: warm-ups that no request used in time

A refusal leaves a stop, which the next look-up of the store shows: on the path of a keystroke a guard needs no
command of its own. The store knows subjects, labels and upstreams only by keyed digests.
"""

import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Protocol

from warmcache.background.database import in_database_thread
from warmcache.conf import Config
from warmcache.core.catalog import facts_for
from warmcache.core.errors import StoreUnavailable
from warmcache.core.guards import (
    DAY_SECONDS,
    DEFECT_STRIKES,
    KEY_TERMS,
    LABEL_TERMS,
    REFRESH_TERMS,
    SUBJECT_TERMS,
    Adjust,
    Change,
    Charge,
    Claim,
    Draw,
    Expectation,
    Pay,
    Refusal,
    Spent,
    Strike,
    Terms,
    Undo,
    Unopened,
    money_units,
)
from warmcache.core.intents import Intent
from warmcache.core.ports import Clock, Purse, Sighting, WarmthStore
from warmcache.core.prefix import Layer, Prefix
from warmcache.core.reasons import Reason
from warmcache.core.usage import Usage

logger = logging.getLogger(__name__)

READ_FRACTION = 0.9
"""A request has read a layer if it read at least this share of it: the layer's end is estimated."""

SPENT_STOP_SECONDS = 2.0
"""How long a spent budget stops warming before it is checked again: the operator may have raised it."""

SUBJECT_TERMS_OF = {Intent.TURN_FINISHED: REFRESH_TERMS}
"""The terms of a subject's warm-ups at these intents; `SUBJECT_TERMS` at all others."""

LONGEST_UPSTREAM_PAUSE_SECONDS = 3600.0
"""The upper limit of the pauses, which double while the first warm-up after each one is refused again."""

DIGEST_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """The accounts that one warm-up is counted in; each is also the name of a stop."""

    subject: str
    """Empty if the host names no subject: then there is no guard per subject."""
    name: str = field(repr=False)
    """The subject in the host's words; the store never learns it."""
    key: str
    label: str
    upstream: str
    budget: str
    endpoint: str
    """The upstream and the model: not an account, only a stop, for endpoints that refuse every warm-up."""
    intent: Intent

    @property
    def stops(self) -> tuple[str, ...]:
        """The stops of all accounts, in the order in which they give the reason."""
        names = (self.upstream, self.endpoint, self.subject, self.key, self.label, self.budget)
        return tuple(name for name in names if name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What was taken for one warm-up, to be settled or refunded once."""

    accounts: Accounts
    charges: tuple[Charge, ...]
    money: int
    """The amount reserved in each account of dollars, in units of `core.guards.money_units`."""
    from_purse: object | None = None
    """What the host has set aside; None if it has no purse."""


class Budgets(Protocol):
    """What the operator allows for a UTC day; money in US dollars."""

    @property
    def daily_usd(self) -> Decimal: ...
    @property
    def daily_warm_ups(self) -> int: ...
    @property
    def user_daily_usd(self) -> Decimal: ...
    @property
    def user_daily_warm_ups(self) -> int: ...


ReadSpent = Callable[[str, float], Awaitable[Spent]]
"""(subject, beginning of the day in epoch seconds) -> what is spent. May raise: then nothing is spent."""


class Guards:
    """The guards of one event loop. A method raises `StoreUnavailable` only if its docstring says so."""

    def __init__(
        self,
        *,
        store: WarmthStore,
        clock: Clock,
        config: Config,
        purse: Purse | None = None,
        read_spent: ReadSpent | None = None,
    ) -> None:
        """`read_spent`: what a day's budgets begin with if the store does not know them. Without it, with nothing."""
        self._purse = purse
        self._read_spent = read_spent
        key = config.prefix_key
        self._store = store
        self._allowances = store.make_allowances()
        self._clock = clock
        self._secret = key.secret
        self._upstream = self._digest("upstream", key.upstream)
        self._late_seconds = config.total_timeout_seconds
        self._upstream_terms = Terms(
            free=1,
            first_pause_seconds=config.pause_after_limit_seconds,
            longest_pause_seconds=LONGEST_UPSTREAM_PAUSE_SECONDS,
        )

    def accounts(self, prefix: Prefix, *, intent: Intent, label: str, subject: str) -> Accounts:
        deepest = prefix.deepest
        return Accounts(
            subject=self._subject(subject),
            name=subject,
            key=f"key:{deepest.prefix_hash}" if deepest else "",
            label=f"label:{self._digest(label, intent)}",
            upstream=f"upstream:{self._upstream}",
            budget=f"budget:{self._upstream}",
            endpoint=f"endpoint:{self._digest(self._upstream, prefix.model)}",
            intent=intent,
        )

    async def admit(self, accounts: Accounts, *, cost_usd: Decimal, policy: Budgets) -> Reservation | Reason:
        """The reservation, or the reason to skip. Raises `StoreUnavailable`: what cannot be counted is not spent."""
        money = money_units(cost_usd)
        charges = self._charges(accounts, money, policy)
        claims: list[Claim] = [self._upstream_draw(accounts), *_draws(accounts), *charges]
        refusal = await self._allowances.reserve(claims)
        if isinstance(refusal, Unopened):
            if not await self._open(accounts, charges):
                return Reason.STORE_UNAVAILABLE
            refusal = await self._allowances.reserve(claims)
        if isinstance(refusal, Unopened):  # emptied again in this moment
            return Reason.STORE_UNAVAILABLE
        if refusal is not None:
            await self._stop(accounts, refusal)
            return refusal.claim.reason
        reservation = Reservation(accounts=accounts, charges=charges, money=money)
        return await self._paid(reservation, cost_usd) if self._purse else reservation

    async def settle(
        self, reservation: Reservation, *, billed_usd: Decimal | None, expectations: Sequence[Expectation]
    ) -> None:
        """Records a successful call. Without a known price the reserved cost stands."""
        await self._settle_with_purse(reservation, billed_usd)
        changes: list[Change] = [Pay(account=reservation.accounts.upstream)]
        if billed_usd is not None:
            change = money_units(billed_usd) - reservation.money
            changes += [Adjust(account=charge.account, amount=change) for charge in _of_money(reservation)]
        with contextlib.suppress(StoreUnavailable):
            await self._allowances.settle(changes)
            await self._allowances.expect(expectations)

    async def refund(self, reservation: Reservation, *, may_be_billed: bool = False) -> None:
        """Records that nothing came of it. An abandoned call may still be billed: then its cost stays reserved.

        The prefix keeps its strike, so that a call that always fails is not tried again at each keystroke.
        """
        await self._settle_with_purse(reservation, None if may_be_billed else Decimal(0))
        kept = {charge.account for charge in _of_money(reservation)} if may_be_billed else set()
        returned = [charge for charge in reservation.charges if charge.account not in kept]
        changes: list[Change] = [Adjust(account=charge.account, amount=-charge.amount) for charge in returned]
        subject = reservation.accounts.subject
        with contextlib.suppress(StoreUnavailable):
            if subject:
                changes.append(Undo(account=subject, terms=SUBJECT_TERMS))
            await self._allowances.settle(changes)

    def expectations(self, accounts: Accounts, prefix: Prefix, *, usage: Usage, started_at: float) -> list[Expectation]:
        """The layers that a warm-up with this usage wrote, and its deepest layer: some request should read them."""
        if not prefix.breakpoints:
            return []
        deepest, scale = prefix.breakpoints[-1], usage.cached_tokens / max(1, prefix.prefix_tokens)
        shortest = max(
            facts_for(prefix.model).min_prefix_tokens, usage.cache_read_tokens / (scale * READ_FRACTION or 1)
        )
        written = [point for point in prefix.breakpoints if point is deepest or point.prefix_tokens >= shortest]
        return [
            Expectation(
                prefix_hash=point.prefix_hash,
                tokens=round(point.prefix_tokens * scale),
                readable_at=self._clock.now(),
                expires_at=started_at + point.ttl_seconds,
                missed_at=started_at + point.ttl_seconds + self._late_seconds,
                is_deepest=point is deepest,
                is_shared=point.layer is Layer.SHARED,
                subject_account=accounts.subject,
                key_account=accounts.key,
                label_account=accounts.label,
            )
            for point in written
        ]

    async def note_request(
        self, prefix: Prefix, *, subject: str, earns_credit: bool, found: Usage, started_at: float
    ) -> None:
        """Records that a real request was answered; `found` is what it read and wrote. One round trip, or two if it met
        a warm-up's layer."""
        own = self._subject(subject)
        credit = [Pay(account=own)] if own and earns_credit else []
        try:
            met = await self._allowances.take_met(prefix.hashes, started_at=started_at, changes=credit)
            await self._allowances.settle([change for one in met for change in _verdict(one, found, own)])
        except StoreUnavailable:
            logger.warning("The store is down: a request earns no credit and tells no guard what it has read")

    async def note_missed(self) -> None:
        """Counts warm-ups that no request used in time."""
        with contextlib.suppress(StoreUnavailable):
            missed = await self._allowances.take_missed()
            await self._allowances.settle(
                [Strike(account=e.label_account, terms=LABEL_TERMS) for e in missed if e.is_deepest]
            )

    async def forget(self, subject: str) -> None:
        """Deletes what a subject has earned and spent. Of layers that it warmed only expectations stay: keyed digests,
        until they lapse."""
        own = self._subject(subject)
        if not own:
            return
        day = int(self._clock.now() // DAY_SECONDS)
        sums = [f"{own}:{each}:{what}" for each in (day - 1, day) for what in ("count", "money")]
        try:
            await self._allowances.forget([own, *sums])
        except StoreUnavailable:
            logger.warning("The store is down: what a subject had earned is forgotten when it lapses")

    async def pause_upstream(self, seconds: float) -> None:
        """Stops warming at this provider in all processes; then one process probes (half-open circuit breaker)."""
        with contextlib.suppress(StoreUnavailable):
            name = f"upstream:{self._upstream}"
            await self._store.stop(name, reason=Reason.UPSTREAM_LIMITED, ttl_seconds=seconds)
            await self._allowances.settle([Strike(account=name, terms=self._upstream_terms)])

    async def stop_endpoint(self, accounts: Accounts) -> None:
        """Stops warming this model at this endpoint, in all processes, until it is asked again a day later."""
        with contextlib.suppress(StoreUnavailable):
            reason = Reason.ENDPOINT_WITHOUT_PREWARM
            await self._store.stop(accounts.endpoint, reason=reason, ttl_seconds=DAY_SECONDS)

    async def _open(self, accounts: Accounts, charges: Sequence[Charge]) -> bool:
        """Opens the day's accounts with what the ledger has of it. False if the ledger cannot be read."""
        if self._read_spent is None:
            return False
        day = self._clock.now() // DAY_SECONDS * DAY_SECONDS
        try:
            spent = await self._read_spent(accounts.name, day)
        except Exception as error:
            logger.warning("What this day has cost so far cannot be read, so nothing is warmed: %s", error)
            return False
        own = (spent.own_count, money_units(spent.own_usd)) if accounts.subject else ()
        amounts = (*own, spent.count, money_units(spent.usd))
        pairs = zip(charges, amounts, strict=True)
        await self._allowances.open([replace(charge, amount=amount) for charge, amount in pairs])
        return True

    async def _paid(self, reservation: Reservation, cost_usd: Decimal) -> Reservation | Reason:
        """The reservation with what the host has set aside; or the reason to skip, and then nothing is reserved."""
        accounts, purse = reservation.accounts, self._purse
        reason = Reason.USER_BUDGET if accounts.subject else Reason.BUDGET
        try:
            found = await in_database_thread(purse.reserve, accounts.name, cost_usd) if purse else None
        except Exception as error:
            logger.warning("The host's purse does not answer, so nothing is warmed: %s", error)
            found, reason = None, Reason.STORE_UNAVAILABLE
        if found is not None:
            return replace(reservation, from_purse=found)
        await self.refund(reservation)
        with contextlib.suppress(StoreUnavailable):
            name = accounts.subject or accounts.budget
            await self._store.stop(name, reason=reason, ttl_seconds=SPENT_STOP_SECONDS)
        return reason

    async def _settle_with_purse(self, reservation: Reservation, billed_usd: Decimal | None) -> None:
        if self._purse is None or reservation.from_purse is None:
            return
        try:
            await in_database_thread(self._purse.settle, reservation.from_purse, billed_usd)
        except Exception:
            logger.exception("The host's purse keeps what was set aside for a warm-up")

    async def _stop(self, accounts: Accounts, refusal: Refusal) -> None:
        """Records a stop, so that the next keystroke costs only one look-up."""
        claim, seconds = refusal.claim, SPENT_STOP_SECONDS
        name = claim.account
        if isinstance(claim, Charge):
            name = accounts.subject if claim.reason is Reason.USER_BUDGET else accounts.budget
        elif name == accounts.subject and accounts.intent in SUBJECT_TERMS_OF:
            return  # a stop is for all intents, and these terms are for this one
        elif refusal.until is not None:
            seconds = refusal.until - self._clock.now()
        if seconds > 0:
            with contextlib.suppress(StoreUnavailable):
                await self._store.stop(name, reason=claim.reason, ttl_seconds=seconds)

    def _upstream_draw(self, accounts: Accounts) -> Draw:
        return Draw(
            account=accounts.upstream, terms=self._upstream_terms, reason=Reason.UPSTREAM_LIMITED, is_counted=False
        )

    def _charges(self, accounts: Accounts, money: int, policy: Budgets) -> tuple[Charge, ...]:
        """The charges per UTC day: each day has its own accounts, so the rest of one day is not spent on the next."""
        day = int(self._clock.now() // DAY_SECONDS)
        must_be_open = self._read_spent is not None
        all_together = _charges_of_day(
            f"{accounts.budget}:{day}",
            money,
            policy.daily_usd,
            policy.daily_warm_ups,
            reason=Reason.BUDGET,
            must_be_open=must_be_open,
        )
        if not accounts.subject:
            return all_together
        own = _charges_of_day(
            f"{accounts.subject}:{day}",
            money,
            policy.user_daily_usd,
            policy.user_daily_warm_ups,
            reason=Reason.USER_BUDGET,
            must_be_open=must_be_open,
        )
        return (*own, *all_together)

    def _subject(self, subject: str) -> str:
        return f"subject:{self._digest('subject', subject)}" if subject else ""

    def _digest(self, *words: str) -> str:
        text = "\0".join(words).encode()
        return hashlib.blake2b(text, key=self._secret[:64], digest_size=DIGEST_BYTES).hexdigest()


def stop_reason(accounts: Accounts, sightings: Mapping[str, Sighting]) -> Reason | None:
    """Why warming is stopped here for a while, as a look-up with these stops has shown."""
    for name in accounts.stops:
        sighting = sightings.get(name)
        if sighting is not None and sighting.stopped_for is not None:
            return sighting.stopped_for
    return None


def _draws(accounts: Accounts) -> list[Draw]:
    draws = []
    if accounts.subject:
        terms = SUBJECT_TERMS_OF.get(accounts.intent, SUBJECT_TERMS)
        draws.append(Draw(account=accounts.subject, terms=terms, reason=Reason.NO_CREDIT))
    if accounts.key:
        # A held layer is renewed as often as its plan says, whether or not it was read in between.
        is_counted = accounts.intent is not Intent.KEEP
        draws.append(Draw(account=accounts.key, terms=KEY_TERMS, reason=Reason.BREAKER_OPEN, is_counted=is_counted))
    return [*draws, Draw(account=accounts.label, terms=LABEL_TERMS, reason=Reason.BREAKER_OPEN, is_counted=False)]


def _charges_of_day(
    name: str, money: int, most_usd: Decimal, most: int, *, reason: Reason, must_be_open: bool
) -> tuple[Charge, ...]:
    count = Charge(account=f"{name}:count", amount=1, limit=most, reason=reason, must_be_open=must_be_open)
    return count, replace(count, account=f"{name}:money", amount=money, limit=money_units(most_usd))


def _of_money(reservation: Reservation) -> list[Charge]:
    return [charge for charge in reservation.charges if charge.account.endswith(":money")]


def _verdict(expectation: Expectation, found: Usage, own: str) -> list[Change]:
    """The verdict on one layer that this request could read. A write in place of a read is a defect, not an expense."""
    if found.cache_read_tokens >= READ_FRACTION * expectation.tokens:
        paid = [expectation.label_account]
        if expectation.is_deepest:
            paid.append(expectation.key_account)
        if expectation.is_shared and expectation.subject_account not in ("", own):
            paid.append(expectation.subject_account)
        return [Pay(account=account) for account in paid]
    if found.cache_write_tokens == 0:
        return []
    key, label = expectation.key_account, expectation.label_account
    return [
        Strike(account=key, terms=KEY_TERMS, count=KEY_TERMS.free),
        Strike(account=label, terms=LABEL_TERMS, count=DEFECT_STRIKES),
    ]
