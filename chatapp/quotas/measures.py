"""What is counted, how much of it is allowed, and whether an account is over its limit. Pure.

A minute begins with the first message after the one before has ended; days and months are UTC.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal

from chatapp.protocol.views import QuotaView
from chatapp.protocol.words import Measure, QuotaScope

MONEY_UNITS = 10**8
"""Units of one dollar: accounts hold whole numbers. The cost of a reply has as many decimals."""
MINUTE_SECONDS = 60
NEARLY = 5
"""A page is told what is left when less than one part in so many is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """The limits of one account. None sets no limit; money in US dollars. One field per member of `Measure`."""

    messages_per_minute: int | None = None
    messages_per_day: int | None = None
    running_replies: int | None = None
    usd_per_day: Decimal | None = None
    usd_per_month: Decimal | None = None

    def or_else(self, other: "Allowance") -> "Allowance":
        """These limits, and `other` where there is none."""
        mine = {f.name: getattr(self, f.name) for f in fields(self)}
        return Allowance(**{name: getattr(other, name) if own is None else own for name, own in mine.items()})

    def most_generous(self, other: "Allowance") -> "Allowance":
        """Of each limit that only one of the two sets, that one, and else the higher."""
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return Allowance(
            **{name: max((v for v in pair if v is not None), default=None) for name, pair in pairs.items()}
        )

    def of(self, measure: Measure) -> Decimal | None:
        limit = getattr(self, measure)
        return None if limit is None else Decimal(limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """What one step takes from an account, or with negative numbers gives back to it."""

    messages: int = 0
    replies: int = 0
    units: int = 0
    """Money: see `units_of`."""

    def takes(self, measure: Measure) -> bool:
        return {
            Measure.MESSAGES_PER_MINUTE: self.messages,
            Measure.MESSAGES_PER_DAY: self.messages,
            Measure.RUNNING_REPLIES: self.replies,
            Measure.USD_PER_DAY: self.units,
            Measure.USD_PER_MONTH: self.units,
        }[measure] > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The state of an account: times in epoch seconds, `day` counted from 1970, `month` from the year 0."""

    minute_began_at: float = 0.0
    minute_messages: int = 0
    day: int = 0
    day_messages: int = 0
    day_units: int = 0
    month: int = 0
    month_units: int = 0
    running: int = 0

    def used(self, measure: Measure, now: float) -> Decimal:
        """What counts at this moment; money in US dollars."""
        is_this_day, is_this_month = self.day >= day_of(now), self.month >= month_of(now)
        match measure:
            case Measure.MESSAGES_PER_MINUTE:
                return Decimal(self.minute_messages if now < self.minute_began_at + MINUTE_SECONDS else 0)
            case Measure.MESSAGES_PER_DAY:
                return Decimal(self.day_messages if is_this_day else 0)
            case Measure.RUNNING_REPLIES:
                return Decimal(self.running)
            case Measure.USD_PER_DAY:
                return Decimal(self.day_units if is_this_day else 0) / MONEY_UNITS
            case Measure.USD_PER_MONTH:
                return Decimal(self.month_units if is_this_month else 0) / MONEY_UNITS

    def until(self, measure: Measure, now: float) -> datetime | None:
        """When the count of this measure begins again; None if that is at no fixed time."""
        moment = datetime.fromtimestamp(now, tz=UTC)
        midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        match measure:
            case Measure.MESSAGES_PER_MINUTE:
                ends_at = self.minute_began_at + MINUTE_SECONDS
                return datetime.fromtimestamp(ends_at if now < ends_at else now, tz=UTC)
            case Measure.MESSAGES_PER_DAY | Measure.USD_PER_DAY:
                return midnight + timedelta(days=1)
            case Measure.USD_PER_MONTH:
                return (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
            case Measure.RUNNING_REPLIES:
                return None


def day_of(now: float) -> int:
    return int(now // timedelta(days=1).total_seconds())


def month_of(now: float) -> int:
    moment = datetime.fromtimestamp(now, tz=UTC)
    return moment.year * 12 + moment.month - 1


def first_over(
    standing: Standing, allowance: Allowance, amount: Amount, *, scope: QuotaScope, now: float
) -> QuotaView | None:
    """The first limit that the account exceeds because of `amount`, which it contains already; `left` is what was left
    before."""
    for measure in Measure:
        limit = allowance.of(measure)
        if limit is None or not amount.takes(measure):
            continue
        used = standing.used(measure, now)
        if used > limit:
            left = max(Decimal(0), limit - used + _of(amount, measure))
            return _view(measure, scope, limit=limit, left=left, until=standing.until(measure, now))
    return None


def nearly_over(standing: Standing, allowance: Allowance, *, now: float) -> Iterator[QuotaView]:
    """A person's limits of which little is left. Running replies end by themselves, so they are not told."""
    for measure in Measure:
        limit = allowance.of(measure)
        if limit is None or measure is Measure.RUNNING_REPLIES:
            continue
        left = max(Decimal(0), limit - standing.used(measure, now))
        if left * NEARLY < limit:
            yield _view(measure, QuotaScope.PERSON, limit=limit, left=left, until=standing.until(measure, now))


def all_limits(standing: Standing, allowance: Allowance, *, now: float) -> Iterator[QuotaView]:
    """Each limit of a person, with what is left."""
    for measure in Measure:
        limit = allowance.of(measure)
        if limit is not None:
            left = max(Decimal(0), limit - standing.used(measure, now))
            yield _view(measure, QuotaScope.PERSON, limit=limit, left=left, until=standing.until(measure, now))


def units_of(usd: Decimal) -> int:
    """The amount in whole units, rounded up."""
    return int((usd * MONEY_UNITS).to_integral_value(rounding=ROUND_CEILING))


def _of(amount: Amount, measure: Measure) -> Decimal:
    match measure:
        case Measure.MESSAGES_PER_MINUTE | Measure.MESSAGES_PER_DAY:
            return Decimal(amount.messages)
        case Measure.RUNNING_REPLIES:
            return Decimal(amount.replies)
        case Measure.USD_PER_DAY | Measure.USD_PER_MONTH:
            return Decimal(amount.units) / MONEY_UNITS


def _view(measure: Measure, scope: QuotaScope, *, limit: Decimal, left: Decimal, until: datetime | None) -> QuotaView:
    return QuotaView(measure=measure, scope=scope, limit=_text(measure, limit), left=_text(measure, left), until=until)


def _text(measure: Measure, value: Decimal) -> str:
    is_money = measure in (Measure.USD_PER_DAY, Measure.USD_PER_MONTH)
    return format(value.quantize(Decimal("0.01")) if is_money else value.quantize(Decimal(1)), "f")
