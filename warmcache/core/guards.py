"""Limits on what warming may cost: budgets, and trust accounts whose credit must be earned. Pure.

A `Charge` counts towards a limit: dollars or warm-ups of a day. A `Draw` takes from a trust account: a few may go
unused in a row, then each further one has to wait longer than the one before, until one is used again.
"""

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal

from warmcache.core.reasons import Reason

DAY_SECONDS = 86_400
HOUR_SECONDS = 3600
MONEY_UNITS = 10**8
"""Units of one dollar: accounts hold whole numbers, as Redis does. The ledger's cost has as many decimals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of a trust account."""

    free: int
    """How many may go unused in a row without any wait."""
    first_pause_seconds: float
    """The wait before the next one; it doubles after each further one that goes unused."""
    longest_pause_seconds: float
    most_unused_in_a_day: int = 0
    """The limit in any 24 hours, however long the waits were; 0 sets no such limit."""

    def pause_seconds(self, unused: int) -> float:
        """The wait after `unused` unused ones in a row."""
        return float(min(self.longest_pause_seconds, self.first_pause_seconds * 2.0 ** min(unused - self.free, 60)))


SUBJECT_TERMS = Terms(
    free=3, first_pause_seconds=HOUR_SECONDS, longest_pause_seconds=16 * HOUR_SECONDS, most_unused_in_a_day=7
)
"""Three at first, then after 1, 2, 4 and 8 hours: seven in a day. Each request of the subject gives one back, so that
in any 24 hours no subject has more warm-ups than requests plus seven."""

REFRESH_TERMS = replace(SUBJECT_TERMS, free=SUBJECT_TERMS.free - 1)
"""For the same account and refreshes, which nobody has asked for: the last free one is left for the person's own signs.
In the recorded traffic a third refresh in a row gains nothing that can be measured."""

KEY_TERMS = Terms(free=3, first_pause_seconds=HOUR_SECONDS / 6, longest_pause_seconds=4 * HOUR_SECONDS)
"""For one prefix, whoever warms it."""

LABEL_TERMS = Terms(free=20, first_pause_seconds=HOUR_SECONDS / 6, longest_pause_seconds=4 * HOUR_SECONDS)
"""For one label and intent: many are in flight at once, and only those that expired unused count."""

DEFECT_STRIKES = 7
"""The number of `LABEL_TERMS` strikes for a write in place of an expected read: the third in a row stops the intent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The state of a trust account. Times are epoch seconds."""

    unused: int = 0
    """How many went unused in a row."""
    next_at: float = 0.0
    """No draw is granted before this time, once `unused` has reached the free ones."""
    open_since: tuple[float, ...] = ()
    """Unpaid draws of the last 24 hours, oldest first. Kept only if the terms limit them."""

    def refused_until(self, terms: Terms, now: float) -> float | None:
        """When the next draw is possible; None if it is possible now."""
        if self.unused >= terms.free and now < self.next_at:
            return self.next_at
        recent = self._recent(now)
        if terms.most_unused_in_a_day and len(recent) >= terms.most_unused_in_a_day:
            return recent[0] + DAY_SECONDS
        return None

    def taken(self, terms: Terms, now: float) -> "Trust":
        """The state after one more draw, which counts as unused until we know better."""
        unused = self.unused + 1
        return Trust(
            unused=unused,
            next_at=now + terms.pause_seconds(unused) if unused >= terms.free else self.next_at,
            open_since=(*self._recent(now), now) if terms.most_unused_in_a_day else (),
        )

    def probed(self, terms: Terms, now: float) -> "Trust":
        """The state after a draw that counts only once it proves unused; the single draw after a pause counts."""
        return self if self.unused < terms.free else self.taken(terms, now)

    def struck(self, terms: Terms, now: float, count: int) -> "Trust":
        """The state after `count` draws went unused. During a pause, draws from before the pause add nothing."""
        if self.unused >= terms.free and now < self.next_at:
            return self
        unused = min(self.unused + count, max(self.unused + 1, terms.free))
        return replace(self, unused=unused, next_at=now + terms.pause_seconds(unused) if unused >= terms.free else 0.0)

    def paid(self) -> "Trust":
        """The state after one was used: the waits end, and the newest open draw is paid for."""
        return Trust(open_since=self.open_since[:-1])

    def undone(self, terms: Terms) -> "Trust":
        """The state as if the newest draw had never happened."""
        unused = max(0, self.unused - 1)
        return Trust(
            unused=unused,
            next_at=self.next_at if unused >= terms.free else 0.0,
            open_since=self.open_since[:-1],
        )

    def _recent(self, now: float) -> tuple[float, ...]:
        return tuple(moment for moment in self.open_since if moment > now - DAY_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A claim that is refused if the account would exceed its limit. `reason` is the reason of that refusal."""

    account: str
    amount: int
    limit: int
    reason: Reason
    lives_seconds: float = 2 * DAY_SECONDS
    """Counted from the first charge; then the account is forgotten."""
    must_be_open: bool = False
    """If True, a missing account takes nothing before it was opened with what is spent already: see `Unopened`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What warm-ups of a UTC day have cost so far, as the ledger knows it: of one subject, and of all."""

    own_count: int = 0
    own_usd: Decimal = Decimal(0)
    count: int = 0
    usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """A claim that is refused while the account has to wait."""

    account: str
    terms: Terms
    reason: Reason
    is_counted: bool = True
    """Whether it counts as unused at once; otherwise only a `Strike` counts it."""


Claim = Charge | Draw


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The first claim that was refused. `until`: epoch seconds, None if only a higher limit would help."""

    claim: Claim
    until: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unopened:
    """Nothing was taken, because an account that must be open is missing: it is new, or the store was emptied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjust:
    """Adds to an account of charges, if it still exists; `amount` may be negative."""

    account: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pay:
    """One draw was used."""

    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """The newest draw never happened."""

    account: str
    terms: Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """So many draws were not used."""

    account: str
    terms: Terms
    count: int = 1


Change = Adjust | Pay | Undo | Strike


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One layer that a warm-up wrote and that a request should read. Accounts are names, times are epoch seconds."""

    prefix_hash: str
    tokens: int
    """A request that reads the layer reads at least this many; estimated from what was billed."""
    readable_at: float
    expires_at: float
    missed_at: float
    """By this time even a long request that read the layer must have ended."""
    is_deepest: bool
    is_shared: bool
    subject_account: str
    key_account: str
    label_account: str


def money_units(usd: Decimal) -> int:
    """The amount in whole units, rounded up."""
    return int((usd * MONEY_UNITS).to_integral_value(rounding=ROUND_CEILING))
