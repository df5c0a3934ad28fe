"""Charges a person's step to all accounts that it counts in, or refuses it. Called in a database thread.

A charge is the last statement of the step's transaction: a refusal undoes the whole step, and the accounts are locked
only until the commit. The end of a reply gives back what was set aside and takes what was billed.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from chatapp.protocol import FrameError
from chatapp.protocol.views import QuotaView
from chatapp.protocol.words import ErrorCode, Measure, QuotaScope
from chatapp.quotas import accounts, refusals
from chatapp.quotas.measures import Allowance, Amount, Standing, all_limits, first_over, nearly_over, units_of
from chatapp.quotas.policy import Policy, watch

GROUP_PREFIX = accounts.name_of_group(0).removesuffix("0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What was set aside for a reply, or for a warm-up of a person or, without one, of nobody."""

    user_id: int | None
    usd: Decimal
    at: float
    is_reply: bool = True


def charge(user_id: int, amount: Amount, *, ref: str | None = None, now: float | None = None) -> Sequence[QuotaView]:
    """Takes `amount`, and returns the person's limits of which little is left. Raises `FrameError` if a limit is
    exceeded: then the caller's transaction must be rolled back."""
    now = time.time() if now is None else now
    policy = watch.current()
    standings = accounts.post(user_id, amount, now=now, groups=policy.limited_groups)
    over = _over(policy, user_id, standings, amount, now)
    if over is not None:
        refusals.note(user_id, over, now=now)
        raise FrameError(ErrorCode.QUOTA, sentence(over), ref, quota=over)
    own = policy.for_person(user_id, _groups_in(standings))
    return tuple(nearly_over(standings[accounts.name_of(user_id)], own, now=now))


def reserve(user_id: int | None, usd: Decimal, *, now: float | None = None) -> Reservation | None:
    """Sets the cost of a warm-up or a title aside; None if a limit is exceeded, and then rolled back by the caller."""
    now = time.time() if now is None else now
    policy, amount = watch.current(), Amount(units=units_of(usd))
    standings = accounts.post(user_id, amount, now=now, groups=policy.limited_groups)
    if _over(policy, user_id, standings, amount, now) is not None:
        return None
    return Reservation(user_id=user_id, usd=usd, at=now, is_reply=False)


def settle(reservation: Reservation, billed_usd: Decimal | None) -> None:
    """Ends a reservation: what was billed takes its place. None: nobody knows, and what was set aside counts."""
    billed = reservation.usd if billed_usd is None else billed_usd
    amount = Amount(replies=-1 if reservation.is_reply else 0, units=units_of(billed) - units_of(reservation.usd))
    if amount != Amount():
        groups = watch.current().limited_groups
        accounts.post(reservation.user_id, amount, now=reservation.at, groups=groups)


def nearly_met(user_id: int, *, now: float | None = None) -> Sequence[QuotaView]:
    """A person's limits of which little is left, for a page that connects. One statement, two where groups matter."""
    now = time.time() if now is None else now
    return tuple(nearly_over(*_own(user_id), now=now))


def what_is_left(user_id: int) -> Sequence[QuotaView]:
    """All limits of a person, for the page about the account."""
    return tuple(all_limits(*_own(user_id), now=time.time()))


def _own(user_id: int) -> tuple[Standing, Allowance]:
    policy = watch.current()
    groups = accounts.groups_of(user_id, policy.limited_groups) if policy.limited_groups else ()
    standing = accounts.read([accounts.name_of(user_id)]).get(accounts.name_of(user_id), Standing())
    return standing, policy.for_person(user_id, groups)


def sentence(quota: QuotaView) -> str:
    """In plain words, without the time, which the page tells in the person's own time zone."""
    measure, whose = (
        Measure(quota.measure),
        {
            QuotaScope.PERSON: "you",
            QuotaScope.GROUP: "your group",
            QuotaScope.ALL: "everybody here together",
        }[QuotaScope(quota.scope)],
    )
    match measure:
        case Measure.MESSAGES_PER_MINUTE:
            return f"{_begin(whose)} may send {quota.limit} messages a minute, and that many are sent."
        case Measure.MESSAGES_PER_DAY:
            return f"{_begin(whose)} may send {quota.limit} messages a day, and that many are sent."
        case Measure.RUNNING_REPLIES:
            return f"{_begin(whose)} may have {quota.limit} replies written at the same time: wait for the end of one."
        case Measure.USD_PER_DAY | Measure.USD_PER_MONTH:
            period = "a day" if measure is Measure.USD_PER_DAY else "a month"
            return (
                f"{_begin(whose)} may spend ${quota.limit} {period}; ${quota.left} is left, "
                "which may not be enough for this reply."
            )


def _begin(words: str) -> str:
    return words[0].upper() + words[1:]


def _over(
    policy: Policy, user_id: int | None, standings: Mapping[str, Standing], amount: Amount, now: float
) -> QuotaView | None:
    for name, scope, allowance in _limits(policy, user_id, standings):
        over = first_over(standings[name], allowance, amount, scope=scope, now=now)
        if over is not None:
            return over
    return None


def _limits(
    policy: Policy, user_id: int | None, standings: Mapping[str, Standing]
) -> Iterator[tuple[str, QuotaScope, Allowance]]:
    groups = _groups_in(standings)
    if user_id is not None:
        yield accounts.name_of(user_id), QuotaScope.PERSON, policy.for_person(user_id, groups)
    for group_id in groups:
        if group_id in policy.groups:
            yield accounts.name_of_group(group_id), QuotaScope.GROUP, policy.groups[group_id]
    yield accounts.ALL, QuotaScope.ALL, policy.all_together


def _groups_in(standings: Mapping[str, Standing]) -> list[int]:
    """The person's groups, as far as they matter: the statement has found them."""
    return [int(name.removeprefix(GROUP_PREFIX)) for name in standings if name.startswith(GROUP_PREFIX)]
