"""Where warm-ups are wasted, the dearest first, and what an operator can do about it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from warmcache.core.intents import Intent
from warmcache.core.outcomes import Outcome
from warmcache.core.wording import gettext_noop
from warmcache.reports.figures import Spending

SMALL_SHARE = 0.1
FEW = 10
_CAUSES = (Outcome.UNUSED, Outcome.RACED, Outcome.DIVERGED, Outcome.EVICTED, Outcome.FAILED, Outcome.CANCELLED)

_UNUSED: Mapping[str, str] = {
    Intent.OPEN: gettext_noop(
        "Few who open a page write in time: take “opened” out of the intents in the warm policy."
    ),
    Intent.TYPING: gettext_noop(
        "Drafts are not sent in time: lower the price of a second or the cap in the warm policy."
    ),
    Intent.ATTACH: gettext_noop("Files are attached and not sent in time: lower the cap in the warm policy."),
    Intent.TURN_FINISHED: gettext_noop(
        "People come back after the entry has lapsed: give the conversation a TTL of one hour, or "
        "take “turn finished” out of the intents."
    ),
    Intent.KEEP: gettext_noop("Nobody came while the layer was held: stop holding shared layers in the warm policy."),
    Intent.MANUAL: gettext_noop("Nobody came after it was warmed by hand: warm it shortly before people come."),
}
_OTHERWISE: Mapping[str, str] = {
    Outcome.RACED: gettext_noop(
        "Requests come before the warm-up is done: warm earlier (“opened”), or shorten the prompt."
    ),
    Outcome.DIVERGED: gettext_noop(
        "What was sent differs from what was warmed: look for dates, names or ids in the instructions."
    ),
    Outcome.EVICTED: gettext_noop(
        "The API had dropped the entry: nothing to set here; the requests' miss reason tells more."
    ),
    Outcome.FAILED: gettext_noop("The API refused: see the error codes of these warm-ups."),
    Outcome.CANCELLED: gettext_noop("They were cancelled: see the error codes of these warm-ups."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Waste:
    """Warm-ups of one label and intent, over its models."""

    upstream: str
    label: str
    intent: str
    warm_ups: int
    cost_usd: Decimal
    wasted_usd: Decimal
    wasted_share: float | None
    cause: str
    """The most frequent outcome of those that were of no use; empty if there is none."""
    advice: str


def waste_of(spending: Sequence[Spending]) -> list[Waste]:
    """The dearest first."""
    groups: dict[tuple[str, str, str], list[Spending]] = {}
    for row in spending:
        groups.setdefault((row.upstream, row.label, row.intent), []).append(row)
    found = [_waste(key, rows) for key, rows in groups.items()]
    return sorted(found, key=lambda row: (-row.wasted_usd, row.label, row.intent))


def _waste(key: tuple[str, str, str], rows: Sequence[Spending]) -> Waste:
    upstream, label, intent = key
    wasted = sum((row.wasted_usd for row in rows), Decimal(0))
    settled = sum((row.settled_usd for row in rows), Decimal(0))
    share = float(wasted / settled) if settled else None
    counts = {outcome: sum(row.outcomes.get(outcome, 0) for row in rows) for outcome in _CAUSES}
    cause = max(counts, key=lambda outcome: counts[outcome])
    warm_ups = sum(row.warm_ups for row in rows)
    return Waste(
        upstream=upstream,
        label=label,
        intent=intent,
        warm_ups=warm_ups,
        cost_usd=sum((row.cost_usd for row in rows), Decimal(0)),
        wasted_usd=wasted,
        wasted_share=share,
        cause=cause if counts[cause] else "",
        advice=_advice(intent, cause if counts[cause] else "", share, warm_ups),
    )


def _advice(intent: str, cause: str, share: float | None, warm_ups: int) -> str:
    if not cause or share is None or share < SMALL_SHARE:
        return gettext_noop("Nothing to do.")
    if warm_ups < FEW:
        return gettext_noop("Too few to judge.")
    return _OTHERWISE.get(cause) or _UNUSED.get(intent, "")
