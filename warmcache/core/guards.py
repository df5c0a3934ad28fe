"""What keeps warming from costing more than it may: budgets, and accounts where trust is earned. Pure.

A `Charge` counts towards a limit: dollars or warm-ups of a day. A `Draw` takes from an account of trust: so many may
go unused in a row, then each further one has to wait longer than the one before, until something is used again.
"""

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal

from warmcache.core.reasons import Reason

DAY_SECONDS = 86_400
HOUR_SECONDS = 3600
MONEY_UNITS = 10**8
"""Of a dollar: accounts count in whole numbers, as Redis does. The ledger's cost has as many decimals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Of an account of trust."""

    free: int
    """So many may go unused in a row without any wait."""
    first_pause_seconds: float
    """Before the next one; twice as long after each further one that goes unused."""
    longest_pause_seconds: float
    most_unused_in_a_day: int = 0
    """In any 24 hours, however long the waits were; 0 sets no such bound."""

    def pause_seconds(self, unused: int) -> float:
        """The wait after so many unused in a row."""
        return float(min(self.longest_pause_seconds, self.first_pause_seconds * 2.0 ** min(unused - self.free, 60)))


SUBJECT_TERMS = Terms(
    free=3, first_pause_seconds=HOUR_SECONDS, longest_pause_seconds=16 * HOUR_SECONDS, most_unused_in_a_day=7
)
"""Three at first, then after 1, 2, 4 and 8 hours: seven in a day. Each request of the subject gives one back, so that
in any 24 hours no subject has more warm-ups than requests plus seven."""

PLANNED_TERMS = replace(SUBJECT_TERMS, free=SUBJECT_TERMS.most_unused_in_a_day)
"""Of the same account, for refreshes whose own plan paces them: the bound of the day alone."""

KEY_TERMS = Terms(free=3, first_pause_seconds=HOUR_SECONDS / 6, longest_pause_seconds=4 * HOUR_SECONDS)
"""Of one prefix: whoever warms it."""

LABEL_TERMS = Terms(free=20, first_pause_seconds=HOUR_SECONDS / 6, longest_pause_seconds=4 * HOUR_SECONDS)
"""Of one label and intent: many are under way at once, and only those that time has ended count."""

DEFECT_STRIKES = 7
"""What a write in place of a due read counts for among `LABEL_TERMS`: the third in a row stops the label's intent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The state of an account. Times are epoch seconds."""

    unused: int = 0
    """In a row."""
    next_at: float = 0.0
    """Before that none is given, once `unused` has reached the free ones."""
    open_since: tuple[float, ...] = ()
    """Oldest first: those of the last 24 hours that nothing has paid for. Kept where the terms bound them."""

    def refused_until(self, terms: Terms, now: float) -> float | None:
        """None where one more may be taken now."""
        if self.unused >= terms.free and now < self.next_at:
            return self.next_at
        recent = self._recent(now)
        if terms.most_unused_in_a_day and len(recent) >= terms.most_unused_in_a_day:
            return recent[0] + DAY_SECONDS
        return None

    def taken(self, terms: Terms, now: float) -> "Trust":
        """One more, unused until the contrary is known."""
        unused = self.unused + 1
        return Trust(
            unused=unused,
            next_at=now + terms.pause_seconds(unused) if unused >= terms.free else self.next_at,
            open_since=(*self._recent(now), now) if terms.most_unused_in_a_day else (),
        )

    def probed(self, terms: Terms, now: float) -> "Trust":
        """One more, which counts only when it is known to be unused. After a pause it is the only one, and counts."""
        return self if self.unused < terms.free else self.taken(terms, now)

    def struck(self, terms: Terms, now: float, count: int) -> "Trust":
        """So many went unused. While a pause lasts, what had been under way before adds nothing to it."""
        if self.unused >= terms.free and now < self.next_at:
            return self
        unused = min(self.unused + count, max(self.unused + 1, terms.free))
        return replace(self, unused=unused, next_at=now + terms.pause_seconds(unused) if unused >= terms.free else 0.0)

    def paid(self) -> "Trust":
        """Something was used: the waits are over, and the newest open one is paid for."""
        return Trust(open_since=self.open_since[:-1])

    def undone(self, terms: Terms) -> "Trust":
        """The newest never happened."""
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
    """Refused where the account would exceed its limit. `reason` is what a refusal is called."""

    account: str
    amount: int
    limit: int
    reason: Reason
    lives_seconds: float = 2 * DAY_SECONDS
    """From the first charge on; the account is forgotten after that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Refused while the account has to wait."""

    account: str
    terms: Terms
    reason: Reason
    is_counted: bool = True
    """Counts as unused at once; otherwise only when `Strike` says so."""


Claim = Charge | Draw


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The first claim that was refused. `until`: epoch seconds, None where only another limit would help."""

    claim: Claim
    until: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjust:
    """Adds to an account of charges, if it still stands; `amount` may be negative."""

    account: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pay:
    """One was used."""

    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """The newest draw never happened."""

    account: str
    terms: Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """So many were not used."""

    account: str
    terms: Terms
    count: int = 1


Change = Adjust | Pay | Undo | Strike


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One layer that a warm-up has written, and that a request should read. Accounts are names, times epoch seconds."""

    prefix_hash: str
    tokens: int
    """That a request which reads it reads at least; estimated from what was billed."""
    readable_at: float
    expires_at: float
    missed_at: float
    """When even a long request that has read it must have ended."""
    is_deepest: bool
    is_shared: bool
    subject_account: str
    key_account: str
    label_account: str


def money_units(usd: Decimal) -> int:
    """Never less than the amount."""
    return int((usd * MONEY_UNITS).to_integral_value(rounding=ROUND_CEILING))
