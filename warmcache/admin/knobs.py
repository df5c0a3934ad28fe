"""The operator's knobs in words: unit, value in force, meaning, what each did of late, and what looks wrong."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.utils.translation import gettext, ngettext

from warmcache.admin.words import dollars, share
from warmcache.conf import Config
from warmcache.core.intents import Intent
from warmcache.core.outcomes import Arm
from warmcache.core.reasons import Reason
from warmcache.core.tallies import Kind
from warmcache.models import WarmPolicy
from warmcache.operator_policy import OperatorPolicy
from warmcache.reports.evidence import Evidence
from warmcache.reports.experiments import ENOUGH
from warmcache.reports.figures import Report
from warmcache.reports.grouping import of_kind, sums_of

LARGE_HOLD_OUT = 0.5
EXAMPLE_HOLD_OUT = 0.05
DEAR_SECOND_USD = Decimal(5)
DEAR_WARM_UP_USD = Decimal(10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """`origin`: whether it is set on this page or in the settings."""

    name: str
    unit: str
    value: str
    origin: str
    meaning: str
    effect: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lately:
    """What the knobs are judged by: one upstream's figures of the last days."""

    report: Report
    evidence: Evidence
    upstream: str
    days: int
    begins: datetime | None
    """The moment of the ledger's oldest row."""

    @property
    def skips(self) -> Counter[str]:
        """Counted whoever answered: nothing was asked of an upstream."""
        found: Counter[str] = Counter()
        for row in self.report.skips:
            found[row.reason] += row.count
        return found

    def skipped(self, reason: Reason) -> str:
        count = self.skips[reason]
        told = ngettext("“%(reason)s” kept %(count)s visit cold.", "“%(reason)s” kept %(count)s visits cold.", count)
        return told % {"reason": gettext(reason.words), "count": f"{count:,}"}


def knobs_of(policy: OperatorPolicy, row: WarmPolicy | None, config: Config, lately: Lately) -> list[Knob]:
    """In the order of the form."""
    gain = next((found for found in lately.report.gains if found.upstream == lately.upstream), None)
    each = gain.usd_per_saved_second if gain else None
    spent = next((found for found in lately.report.totals if found.upstream == lately.upstream), None)
    warm_ups = spent.warm_ups if spent else 0
    cost = spent.used_usd + spent.wasted_usd + spent.waiting_usd if spent else Decimal(0)
    mean = (
        gettext("A warm-up cost %(usd)s on average.") % {"usd": dollars(cost / warm_ups)}
        if warm_ups
        else gettext("No warm-up was sent.")
    )
    a_day = gettext("On average %(usd)s and %(count)s warm-ups a day.") % {
        "usd": dollars(cost / lately.days),
        "count": f"{warm_ups / lately.days:,.1f}",
    }

    names = {field.name: str(field.verbose_name) for field in WarmPolicy._meta.fields}

    def knob(name: str, unit: str, value: str, meaning: str, effect: str) -> Knob:
        chosen = row is not None and getattr(row, name) is not None
        return Knob(
            name=names[name],
            unit=unit,
            value=value,
            origin=gettext("set here") if chosen else gettext("as in the settings"),
            meaning=meaning,
            effect=effect,
        )

    return [
        knob(
            *("is_enabled", gettext("yes or no"), _yes(policy.is_enabled)),
            gettext("The kill switch: off, nothing is warmed, and replies go on."),
            lately.skipped(Reason.WARMING_OFF),
        ),
        knob(
            *("value_of_second_usd", gettext("US dollars a second"), dollars(policy.value_of_second_usd)),
            gettext(
                "What one second less of waiting is worth to you: a warm-up is sent only if what it is expected to "
                "save is worth more than it costs. Higher: more is warmed."
            ),
            (gettext("A saved second cost %(usd)s.") % {"usd": dollars(each.value)} + " " if each else "")
            + lately.skipped(Reason.NOT_WORTH_IT),
        ),
        knob(
            *("max_cost_per_warm_up_usd", gettext("US dollars"), dollars(policy.max_cost_per_warm_up_usd)),
            gettext("No single warm-up may cost more, whatever it would save."),
            f"{mean} " + lately.skipped(Reason.OVER_COST_CAP),
        ),
        knob(
            *("holdout_share", gettext("share of visits, 0 to 1"), f"{policy.holdout_share:g}"),
            gettext(
                "This part of the visits is left cold by lot, so that seconds saved are measured and not only believed."
            ),
            _hold_out(policy, lately),
        ),
        knob(
            *(
                "intents",
                gettext("occasions"),
                ", ".join(gettext(intent.words) for intent in Intent if intent in policy.intents) or gettext("none"),
            ),
            gettext("At which signs a warm-up is considered at all."),
            " ".join([*_intents(lately), lately.skipped(Reason.INTENT_OFF)]),
        ),
        knob(
            *("user_daily_usd", gettext("US dollars per person and UTC day"), dollars(policy.user_daily_usd)),
            gettext("What the warm-ups for one person may cost in a day."),
            lately.skipped(Reason.USER_BUDGET),
        ),
        knob(
            *("user_daily_warm_ups", gettext("warm-ups per person and UTC day"), f"{policy.user_daily_warm_ups:,}"),
            gettext("How many warm-ups one person may cause in a day."),
            lately.skipped(Reason.USER_BUDGET),
        ),
        knob(
            *("daily_usd", gettext("US dollars per UTC day"), dollars(policy.daily_usd)),
            gettext("What all warm-ups together may cost in a day."),
            f"{a_day} " + lately.skipped(Reason.BUDGET),
        ),
        knob(
            *("daily_warm_ups", gettext("warm-ups per UTC day"), f"{policy.daily_warm_ups:,}"),
            gettext("How many warm-ups there may be in a day."),
            f"{a_day} " + lately.skipped(Reason.BUDGET),
        ),
        Knob(
            name=names["keeps_shared_layers"],
            unit=gettext("yes or no"),
            value=_yes(policy.keeps_shared_layers),
            origin=gettext("as in the settings") if config.keeps_shared_layers or row is None else gettext("set here"),
            meaning=gettext(
                "What everybody who uses an assistant shares is read again before it lapses, where that costs less "
                "than what it spares."
            ),
            effect=lately.skipped(Reason.HOLDING_DOES_NOT_PAY),
        ),
        knob(
            *("keep_days", gettext("days"), f"{policy.keep_days:,}" if policy.keep_days else gettext("for ever")),
            gettext("How long the single warm-ups and requests can be looked at. Reports of longer ago stay the same."),
            gettext("The oldest row is of %(day)s.") % {"day": f"{lately.begins:%Y-%m-%d}"}
            if lately.begins
            else gettext("There is no row."),
        ),
    ]


def warnings_of(policy: OperatorPolicy) -> list[str]:
    """Values that are possible and can hardly be meant."""
    return [warning for is_so, warning in _warnings(policy) if is_so]


def _warnings(policy: OperatorPolicy) -> Iterator[tuple[bool, str]]:
    second, cap = policy.value_of_second_usd, policy.max_cost_per_warm_up_usd
    held_out = policy.holdout_share
    yield (
        held_out >= 1,
        gettext("The hold-out share is 1: every visit is left cold, and nothing is ever warmed for a person."),
    )
    yield (
        LARGE_HOLD_OUT <= held_out < 1,
        gettext("The hold-out share leaves %(share)s of the visits cold; 5 %% is usual.") % {"share": share(held_out)},
    )
    yield not second, gettext("The price of a saved second is 0: no warm-up is ever worth its cost.")
    yield (
        second > DEAR_SECOND_USD,
        (gettext("A saved second is worth %(usd)s here: nearly everything is warmed.") % {"usd": dollars(second)}),
    )
    yield not cap, gettext("The cap per warm-up is 0: nothing that costs anything is warmed.")
    yield cap > DEAR_WARM_UP_USD, gettext("One warm-up may cost %(usd)s.") % {"usd": dollars(cap)}
    yield cap > policy.daily_usd, gettext("The cap per warm-up is above the budget of a whole day.")
    yield policy.user_daily_usd > policy.daily_usd, gettext("The budget of one person is above the budget of all.")
    yield (
        policy.user_daily_warm_ups > policy.daily_warm_ups,
        gettext("One person may cause more warm-ups than there may be in all."),
    )
    yield not policy.daily_usd, gettext("The budget per day is 0: nothing that costs anything is warmed.")
    yield not policy.daily_warm_ups, gettext("No warm-up is allowed in a day: nothing is warmed.")
    yield (
        not policy.user_daily_usd,
        gettext("The budget of a person is 0: nothing that costs anything is warmed for anybody."),
    )
    yield not policy.user_daily_warm_ups, gettext("No warm-up is allowed for a person: nothing is warmed for anybody.")
    yield not policy.intents, gettext("No intent warms: nothing is warmed.")


def _hold_out(policy: OperatorPolicy, lately: Lately) -> str:
    requests = [row for row in of_kind(lately.evidence.tallies, Kind.REQUEST) if row.words.upstream == lately.upstream]
    announced = [row for row in requests if row.words.intent]
    held_out = sums_of(row for row in requests if row.words.arm == Arm.HELD_OUT)["rows"]
    sums = sums_of(announced)
    visits, beliefs = sums["rows"], sums["beliefs"]
    if not visits:
        return gettext("No visit was weighed.")
    told = ""
    if policy.holdout_share:
        held = ngettext(
            "%(count)s visit of %(all)s was held out.", "%(count)s visits of %(all)s were held out.", held_out
        )
        told = held % {"count": f"{held_out:,}", "all": f"{visits:,}"} + " "
    tried = policy.holdout_share or EXAMPLE_HOLD_OUT
    out = visits * tried
    given_up = out * sums["believed_ms"] / beliefs / 1000 if beliefs else 0.0
    days = ENOUGH / out * lately.days
    forecast = gettext(
        "With %(share)s about %(count)s visits would have been held out and %(seconds)s s given up; a comparison needs "
        "%(enough)d on each side, about %(days)s days."
    )
    return told + forecast % {
        "share": f"{tried:g}",
        "count": f"{out:,.1f}",
        "seconds": f"{given_up:,.1f}",
        "enough": ENOUGH,
        "days": f"{max(1, round(days)):,}",
    }


def _intents(lately: Lately) -> Iterator[str]:
    spending = [row for row in lately.report.spending if row.upstream == lately.upstream]
    for intent in Intent:
        rows = [row for row in spending if row.intent == intent]
        if rows:
            cost, wasted = (
                sum((row.cost_usd for row in rows), Decimal(0)),
                sum((row.wasted_usd for row in rows), Decimal(0)),
            )
            sent = sum(row.warm_ups for row in rows)
            told = gettext("“%(intent)s”: %(count)s for %(cost)s, %(wasted)s of it wasted.")
            yield told % {
                "intent": gettext(intent.words),
                "count": f"{sent:,}",
                "cost": dollars(cost),
                "wasted": dollars(wasted),
            }


def _yes(is_so: bool) -> str:
    return gettext("yes") if is_so else gettext("no")


def told_changes(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    """For the audit trail: each knob that changed, with both values. `before` is empty for the first row."""
    before = before or {field.name: field.get_default() for field in WarmPolicy._meta.fields}
    parts = [
        f"{field.verbose_name}: {_told(before.get(field.name))} → {_told(after[field.name])}"
        for field in WarmPolicy._meta.fields
        if field.name in after and before.get(field.name) != after[field.name]
    ]
    return "; ".join(parts) or "Saved without a change."


def _told(value: object) -> str:
    if value is None:
        return "as in the settings"
    if isinstance(value, bool):
        return _yes(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
