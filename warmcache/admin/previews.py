"""What another lifetime of cached layers would have cost and saved, as an operator reads it."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from warmcache.admin.words import dollars
from warmcache.core.economics import RateSource
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.outcomes import CONVERSING
from warmcache.core.tallies import Kind
from warmcache.core.ttl import LONG_TTL_SECONDS
from warmcache.learned.rows import stored
from warmcache.ledger.layers import latest_shared_layers
from warmcache.models import LearnedEvidence
from warmcache.operator_policy import OperatorPolicy
from warmcache.reports.evidence import Evidence
from warmcache.reports.grouping import grouped, of_kind, sums_of
from warmcache.reports.previews import Preview, SharedLayer, Way, preview_of_conversations, preview_of_shared

MOST = 30
SENTENCES = {
    (True, True): _(
        "With %(other)s the last %(days)d days would have cost about %(usd)s more than with %(present)s and saved "
        "about %(seconds)s s."
    ),
    (True, False): _(
        "With %(other)s the last %(days)d days would have cost about %(usd)s more than with %(present)s and cost about "
        "%(seconds)s s."
    ),
    (False, True): _(
        "With %(other)s the last %(days)d days would have cost about %(usd)s less than with %(present)s and saved "
        "about %(seconds)s s."
    ),
    (False, False): _(
        "With %(other)s the last %(days)d days would have cost about %(usd)s less than with %(present)s and cost about "
        "%(seconds)s s."
    ),
}
"""By whether it costs more, and whether it saves time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    label: str
    model: str
    what: str
    requests: str
    ways: tuple[str, ...]
    sentence: str
    basis: str


def previews_of(
    evidence: Evidence, *, upstream: str, days: int, policy: OperatorPolicy, rates: RateSource
) -> list[Shown]:
    """For the assistants with the most requests. Two queries beside the evidence."""
    return list(_shown(evidence, upstream=upstream, days=days, policy=policy, rates=rates))


def _shown(
    evidence: Evidence, *, upstream: str, days: int, policy: OperatorPolicy, rates: RateSource
) -> Iterator[Shown]:
    layers = latest_shared_layers(upstream)
    requests = [
        row
        for row in of_kind(evidence.tallies, Kind.REQUEST)
        if row.words.upstream == upstream and row.words.purpose in CONVERSING
    ]
    groups = [
        (words, sums_of(rows))
        for words, rows in grouped(requests, "label", "model")
        if (words.label, words.model) in layers
    ]
    groups = sorted(groups, key=lambda group: -group[1]["rows"])[:MOST]
    known = stored(upstream, {LearnedEvidence.SPEED, *(words.label for words, _ in groups)})
    speed = forecasts_of(known.get(LearnedEvidence.SPEED))
    price = policy.value_of_second_usd
    for words, sums in groups:
        tokens, ttl_seconds = layers[words.label, words.model]
        prices = rates(words.model, tokens)
        if prices is None or not sums["rows"]:
            continue
        layer = SharedLayer(label=words.label, model=words.model, prefix_tokens=tokens, ttl_seconds=ttl_seconds)
        given: dict[str, Any] = {
            "requests": sums["rows"],
            "forecasts": forecasts_of(known.get(words.label)),
            "rates": prices,
            "prefill": speed.prefill(words.model),
        }
        shared = preview_of_shared(
            layer,
            **given,
            period_seconds=(evidence.until - evidence.since).total_seconds(),
            holds=policy.keeps_shared_layers,
            price_of_second_usd=price,
        )
        yield _told(shared, gettext("shared layer"), days, price)
        prompt_tokens = sums["input"] + sums["read"] + sums["write"]
        behind = preview_of_conversations(layer, **given, prompt_tokens=prompt_tokens)
        if behind is not None:
            yield _told(behind, gettext("conversations"), days, price)


def forecasts_of(evidence: dict[str, Any] | None) -> Forecasts:
    """With the priors where nothing was learned."""
    forecasts = Forecasts()
    forecasts.load(evidence or {})
    return forecasts


def _told(preview: Preview, what: str, days: int, price: Decimal) -> Shown:
    best = preview.best(price)
    other = (
        best
        if best != preview.present
        else next(way for way in preview.ways if way.ttl_seconds == LONG_TTL_SECONDS and not way.is_held)
    )
    if other == preview.present:
        other = preview.ways[0]
    more, saved = other.usd - preview.present.usd, preview.present.late_seconds - other.late_seconds
    sentence = SENTENCES[more >= 0, saved >= 0] % {
        "other": _name(other),
        "days": days,
        "usd": dollars(abs(more)),
        "present": _name(preview.present),
        "seconds": f"{abs(saved):,.1f}",
    }
    verdict = (
        gettext("That pays at your price.")
        if best == other
        else gettext("%(way)s is the cheapest at your price.") % {"way": _name(best).capitalize()}
    )
    return Shown(
        label=preview.label or "-",
        model=preview.model,
        what=gettext("%(what)s, %(count)s tokens") % {"what": what, "count": f"{preview.tokens:,}"},
        requests=f"{preview.requests:,}",
        ways=tuple(_figures(way) for way in preview.ways) + ("-",) * (4 - len(preview.ways)),
        sentence=f"{sentence} {verdict}",
        basis=gettext("silences that were learned")
        if preview.is_learned
        else gettext("an assumption: too few silences were seen"),
    )


def _figures(way: Way) -> str:
    return f"{dollars(way.usd)}, {way.late_seconds:,.1f} s"


def _name(way: Way) -> str:
    if way.ttl_seconds == LONG_TTL_SECONDS:
        return gettext("1 h, held") if way.is_held else gettext("1 h")
    return gettext("5 min, held") if way.is_held else gettext("5 min")
