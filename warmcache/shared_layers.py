"""The layers that a host's people share, and what is known of them: synchronous, for pages, commands and the keeper.

    register_shared_layers(lambda: [SharedLayer(label="helpdesk", load=helpdesk_prompt)])

Call it once, when Django is ready. `load` gives the prompt of a new conversation.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from django.db.models import Count, Min, Q, Sum

from warmcache.conf import Config, get_config
from warmcache.core.forecast import Forecasts
from warmcache.core.prefix import Breakpoint, Layer, Prompt, build_request
from warmcache.core.shared_layers import (
    RECENT_HOURS,
    SAME_HOUR_DAYS,
    SECONDS_PER_HOUR,
    SECONDS_PER_MONTH,
    Arrivals,
    SharedForecast,
    forecast_shared_layer,
)
from warmcache.models import Intent, LearnedEvidence, UsageRecord, WarmUp
from warmcache.operator_policy import policy_in_force, read_row
from warmcache.prices import price_list
from warmcache.records import at

SECONDS_PER_DAY = 24 * SECONDS_PER_HOUR
USERS_OF_THE_LAYER = (UsageRecord.Purpose.REPLY, UsageRecord.Purpose.TOOL_ROUND)


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLayer:
    """`label` is that of the requests which use it."""

    label: str
    load: Callable[[], Prompt | None]
    """The prompt, or None where it is gone. Called in a thread that may use the database."""


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
    """The shared layer of `prompt` and nothing behind it."""
    return replace(prompt, history=(), draft=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A shared layer without its content. `obstacle`: why it cannot be warmed; `point` is None where it is empty."""

    model: str
    point: Breakpoint | None
    obstacle: str | None


def outline_of(prompt: Prompt, config: Config) -> Outline:
    """Hashes the layer: keep it until the prompt changes."""
    prefix = build_request(alone(prompt), None, config.prefix_key).prefix
    first = prefix.breakpoints[0] if prefix.breakpoints and prefix.breakpoints[0].layer is Layer.SHARED else None
    return Outline(model=prefix.model, point=first, obstacle=prefix.obstacle)


def arrivals_at(now: float, labels: Iterable[str], *, upstream: str) -> dict[str, Arrivals]:
    """How often each label's layer was used, told from the ledger. Two queries for all of them."""
    records = UsageRecord.objects.filter(upstream=upstream, purpose__in=USERS_OF_THE_LAYER, started_at__lte=at(now))
    first = records.aggregate(first=Min("started_at"))["first"]
    if first is None:
        return {label: Arrivals(recent_hours=RECENT_HOURS, same_hours=0) for label in labels}
    age_seconds = now - first.timestamp()
    same_hours = [now - days * SECONDS_PER_DAY for days in range(1, SAME_HOUR_DAYS + 1)]
    in_same_hour = Q(pk__in=())
    for start in same_hours:
        in_same_hour |= Q(started_at__gte=at(start), started_at__lt=at(start + SECONDS_PER_HOUR))
    rows = (
        records.filter(label__in=list(labels), started_at__gte=at(same_hours[-1]))
        .order_by()
        .values_list("label")
        .annotate(
            recent=Count("pk", filter=Q(started_at__gte=at(now - RECENT_HOURS * SECONDS_PER_HOUR))),
            same_hour=Count("pk", filter=in_same_hour),
        )
    )
    counts = {label: (recent, same_hour) for label, recent, same_hour in rows}
    seen = {
        "recent_hours": min(float(RECENT_HOURS), age_seconds / SECONDS_PER_HOUR),
        "same_hours": float(sum(start >= now - age_seconds for start in same_hours)),
    }
    return {
        label: Arrivals(recent=recent, same_hour=same_hour, **_at_least_an_hour(seen))
        for label in labels
        for recent, same_hour in [counts.get(label, (0, 0))]
    }


def _at_least_an_hour(seen: dict[str, float]) -> dict[str, float]:
    """Three requests in the first minute of a ledger are no forecast of 180 an hour."""
    return {**seen, "recent_hours": max(1.0, seen["recent_hours"])}


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerReport:
    """What an operator is shown of one layer. Money in US dollars."""

    label: str
    forecast: SharedForecast
    is_keeping_on: bool
    """Whether the operator lets layers be held at all."""
    prefix_hash: str
    last_at: datetime | None
    """Of the keeper's warm-ups."""
    count: int
    """Of the last 30 days."""
    cost_usd: Decimal


def report_on(layer: SharedLayer, now: float) -> LayerReport | None:
    """The forecast as the keeper would make it now, and what it has done. None where the layer is gone."""
    config, prompt = get_config(), layer.load()
    if prompt is None:
        return None
    outline, policy = outline_of(prompt, config), policy_in_force(config, read_row())
    kept = WarmUp.objects.filter(label=layer.label, intent=Intent.KEEP, upstream=config.upstream)
    month = kept.filter(started_at__gte=at(now - SECONDS_PER_MONTH)).aggregate(count=Count("pk"), cost=Sum("cost_usd"))
    return LayerReport(
        label=layer.label,
        forecast=forecast_of(
            outline,
            arrivals_at(now, [layer.label], upstream=config.upstream)[layer.label],
            config=config,
            forecasts=stored_speed(config.upstream),
            value_of_second_usd=policy.value_of_second_usd,
        ),
        is_keeping_on=policy.is_enabled and policy.keeps_shared_layers and Intent.KEEP in policy.intents,
        prefix_hash=outline.point.prefix_hash if outline.point else "",
        last_at=kept.order_by("-started_at").values_list("started_at", flat=True).first(),
        count=month["count"],
        cost_usd=month["cost"] or Decimal(0),
    )


def forecast_of(
    outline: Outline, arrivals: Arrivals, *, config: Config, forecasts: Forecasts, value_of_second_usd: Decimal
) -> SharedForecast:
    """Whether holding pays, at today's prices."""
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


def stored_speed(upstream: str) -> Forecasts:
    """What all processes have measured of the models."""
    forecasts = Forecasts()
    row = LearnedEvidence.objects.filter(upstream=upstream, label=LearnedEvidence.SPEED).first()
    if row is not None:
        forecasts.load(row.evidence)
    return forecasts
