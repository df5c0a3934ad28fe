"""The shared layers of a host, and what we know about them: synchronous, for pages, commands and the keeper.

    register_shared_layers(lambda: [SharedLayer(label="helpdesk", load=helpdesk_prompt)])

Call it once, when Django is ready. `load` returns the prompt of a new conversation.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from django.db.models import Count, Min, Q, QuerySet

from warmcache.conf import Config
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.moments import at
from warmcache.core.outcomes import CONVERSING
from warmcache.core.prefix import Breakpoint, Layer, Prefix, Prompt
from warmcache.core.reasons import Reason
from warmcache.core.shared_layers import (
    RECENT_HOURS,
    SAME_HOUR_DAYS,
    SECONDS_PER_HOUR,
    Arrivals,
    SharedForecast,
    forecast_shared_layer,
)
from warmcache.models import UsageRecord
from warmcache.upstream.prices import price_list

SECONDS_PER_DAY = 24 * SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLayer:
    """`label` is that of the requests which use it."""

    label: str
    load: Callable[[], Prompt | None]
    """The prompt, or None if it is gone. Called in a thread that may use the database."""


ListLayers = Callable[[], Iterable[SharedLayer]]
_listings: list[ListLayers] = []


def register_shared_layers(list_layers: ListLayers) -> None:
    """`list_layers` is called again and again, in a thread that may use the database."""
    if list_layers not in _listings:
        _listings.append(list_layers)


def registered_layers() -> list[SharedLayer]:
    """Every layer that a host has registered, each label once."""
    found = {layer.label: layer for list_layers in _listings for layer in list_layers()}
    return list(found.values())


def alone(prompt: Prompt) -> Prompt:
    """The shared layer of `prompt` without the layers after it."""
    return replace(prompt, history=(), draft=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A shared layer without its content. `obstacle`: why it cannot be warmed; `point` is None if it is empty."""

    model: str
    point: Breakpoint | None
    obstacle: Reason | None


def outline_of(prefix: Prefix) -> Outline:
    """The outline of a prompt's prefix; the prompt must be `alone`."""
    first = prefix.breakpoints[0] if prefix.breakpoints and prefix.breakpoints[0].layer is Layer.SHARED else None
    return Outline(model=prefix.model, point=first, obstacle=prefix.obstacle)


def arrivals_at(now: float, labels: Sequence[str], *, upstream: str) -> dict[str, Arrivals]:
    """How often each label's layer was used, from the ledger. Two queries for all of them."""
    records = UsageRecord.objects.filter(upstream=upstream, purpose__in=CONVERSING, started_at__lte=at(now))
    first = records.aggregate(first=Min("started_at"))["first"]
    age_seconds = now - first.timestamp() if first is not None else 0.0
    same_hours = [now - days * SECONDS_PER_DAY for days in range(1, SAME_HOUR_DAYS + 1)]
    # Three requests in the first minute of a ledger do not predict 180 per hour.
    recent_hours = max(1.0, min(float(RECENT_HOURS), age_seconds / SECONDS_PER_HOUR))
    hours_seen = float(sum(start >= now - age_seconds for start in same_hours))
    counts = _counts(records.filter(label__in=labels), now, same_hours)
    return {
        label: Arrivals(recent=recent, same_hour=same_hour, recent_hours=recent_hours, same_hours=hours_seen)
        for label in labels
        for recent, same_hour in [counts.get(label, (0, 0))]
    }


def _counts(records: QuerySet[UsageRecord], now: float, same_hours: Sequence[float]) -> dict[str, tuple[int, int]]:
    """Label -> requests of the last hours, requests of the hours that begin at `same_hours`."""
    recent = Q(started_at__gte=at(now - RECENT_HOURS * SECONDS_PER_HOUR))
    same = Q()
    for start in same_hours:
        same |= Q(started_at__gte=at(start), started_at__lt=at(start + SECONDS_PER_HOUR))
    rows = (
        records.filter(started_at__gte=at(min(same_hours)))
        .order_by()
        .values_list("label")
        .annotate(recent=Count("pk", filter=recent), same=Count("pk", filter=same))
    )
    return {label: (recent_count, same_count) for label, recent_count, same_count in rows}


def forecast_of(
    outline: Outline, arrivals: Arrivals, *, config: Config, forecasts: Forecasts, value_of_second_usd: Decimal
) -> SharedForecast:
    """Whether holding the layer pays, at today's prices."""
    point = outline.point
    tokens = point.prefix_tokens if point else 0
    return forecast_shared_layer(
        model=outline.model,
        prefix_tokens=tokens,
        ttl_seconds=point.ttl_seconds if point else 0,
        obstacle=outline.obstacle,
        arrivals=arrivals,
        rates=price_list(config)(outline.model, tokens),
        prefill=forecasts.prefill(outline.model),
        value_of_second_usd=value_of_second_usd,
    )
