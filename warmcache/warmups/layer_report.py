"""What an operator sees about a shared layer: how often it is used, what holding it would cost, who holds it now.

Synchronous: for admin pages and commands.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Count, Sum
from django.utils.formats import date_format
from django.utils.timezone import localtime

from warmcache.conf import get_config
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.intents import Intent
from warmcache.core.lifetimes import with_lifetimes
from warmcache.core.moments import at
from warmcache.core.prefix import build_request
from warmcache.core.shared_layers import SECONDS_PER_MONTH, SharedForecast, SharedOption
from warmcache.core.ttl import LONG_TTL_SECONDS
from warmcache.models import LearnedEvidence, WarmUp
from warmcache.operator_policy import policy_in_force, read_row
from warmcache.upstream.prices import price_list
from warmcache.warmups.shared_layers import SharedLayer, alone, arrivals_at, forecast_of, outline_of
from warmcache.words import reason_text


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerReport:
    """What an operator sees about one layer. Money in US dollars."""

    label: str
    forecast: SharedForecast
    is_keeping_on: bool
    """Whether the operator lets layers be held at all."""
    prefix_hash: str
    last_at: datetime | None
    """The time of the keeper's last warm-up."""
    count: int
    """The keeper's warm-ups of the last 30 days."""
    cost_usd: Decimal


def report_on(layer: SharedLayer, now: float) -> LayerReport | None:
    """The forecast as the keeper would make it now, and what the keeper has done. None if the layer is gone."""
    config, prompt = get_config(), layer.load()
    if prompt is None:
        return None
    policy = policy_in_force(config, read_row())
    forecasts = stored_forecasts(config.upstream, layer.label)
    resolved = with_lifetimes(alone(prompt), forecasts, price_list(config))
    outline = outline_of(build_request(resolved, None, config.prefix_key).prefix)
    kept = WarmUp.objects.filter(label=layer.label, intent=Intent.KEEP, upstream=config.upstream)
    month = kept.filter(started_at__gte=at(now - SECONDS_PER_MONTH)).aggregate(count=Count("pk"), cost=Sum("cost_usd"))
    return LayerReport(
        label=layer.label,
        forecast=forecast_of(
            outline,
            arrivals_at(now, [layer.label], upstream=config.upstream)[layer.label],
            config=config,
            forecasts=forecasts,
            value_of_second_usd=policy.value_of_second_usd,
        ),
        is_keeping_on=policy.is_enabled and policy.keeps_shared_layers and Intent.KEEP in policy.intents,
        prefix_hash=outline.point.prefix_hash if outline.point else "",
        last_at=kept.order_by("-started_at").values_list("started_at", flat=True).first(),
        count=month["count"],
        cost_usd=month["cost"] or Decimal(0),
    )


def stored_forecasts(upstream: str, label: str) -> Forecasts:
    """What all processes have learned about the people of a label and about the models."""
    forecasts = Forecasts()
    rows = LearnedEvidence.objects.filter(upstream=upstream, label__in=(label, LearnedEvidence.SPEED))
    for evidence in rows.values_list("evidence", flat=True):
        forecasts.load(evidence)
    return forecasts


def lines_of(report: LayerReport, holder: str | None) -> list[tuple[str, str]]:
    """Pairs of a heading and words. `holder`: the process that holds it, None if there is no known holder."""
    forecast = report.forecast
    lines = [("requests", f"about {forecast.requests_per_hour:.2g} an hour, told from the ledger")]
    if forecast.cheapest is None or forecast.in_force is None:
        lines.append(("forecast", f"none: {reason_text(forecast.reason or '')}"))
    else:
        lines += [
            ("cheapest", _option(forecast, forecast.cheapest)),
            ("with its own lifetime", _option(forecast, forecast.in_force)),
            ("holding it", f"{_dollars(forecast.holding_usd_per_month)} a month"),
        ]
    return [*lines, ("held now", _held(report, holder)), ("warm-ups of the keeper", _spent(report))]


def _option(forecast: SharedForecast, option: SharedOption) -> str:
    what = "hold it, written for" if option.is_held else "let it lapse, written for"
    lifetime = "an hour" if option.ttl_seconds >= LONG_TTL_SECONDS else f"{option.ttl_seconds // 60} minutes"
    return f"{what} {lifetime}: {_dollars(forecast.usd_per_month(option))} a month over plain reads, waits included"


def _held(report: LayerReport, holder: str | None) -> str:
    if holder is not None and report.forecast.should_hold:
        return f"yes, by {holder}"
    if not report.is_keeping_on:
        return "no: keeping shared layers warm is off in the warm policy"
    return "no process holds it" if report.forecast.should_hold else "no: it would not pay"


def _spent(report: LayerReport) -> str:
    if report.last_at is None:
        return "none"
    last = date_format(localtime(report.last_at), "Y-m-d H:i")
    return f"{report.count} in 30 days for {_dollars(report.cost_usd)}, the last one on {last}"


def _dollars(amount: Decimal | None) -> str:
    return "unknown" if amount is None else f"${amount:,.2f}"
