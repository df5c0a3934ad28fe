"""Prometheus counters of the warm-ups of this process since its start, told by warmcache's signals."""

from decimal import Decimal

from prometheus_client import CollectorRegistry, Counter

from warmcache.signals import billed, settled, skipped

registry = CollectorRegistry()
_outcomes = Counter(
    "warmcache_warm_ups",
    "Warm-ups by outcome, as soon as it is known; one that is corrected later counts again.",
    ["assistant", "intent", "outcome"],
    registry=registry,
)
_answered = Counter(
    "warmcache_warm_ups_answered", "Warm-ups that the provider answered.", ["assistant", "intent"], registry=registry
)
_cost = Counter("warmcache_warm_up_cost_usd", "What they cost, US dollars.", ["assistant", "intent"], registry=registry)
_skips = Counter(
    "warmcache_skips", "Warm-ups considered and not sent.", ["assistant", "intent", "reason"], registry=registry
)


def watch() -> None:
    """Called once, when the apps are ready."""
    settled.connect(_settled)
    billed.connect(_billed)
    skipped.connect(_skipped)


def _settled(*, label: str, intent: str, outcome: str, **_: object) -> None:
    _outcomes.labels(label, intent, outcome).inc()


def _billed(*, label: str, intent: str, cost_usd: Decimal | None, **_: object) -> None:
    _answered.labels(label, intent).inc()
    if cost_usd is not None:
        _cost.labels(label, intent).inc(float(cost_usd))


def _skipped(*, label: str, intent: str, reason: str, **_: object) -> None:
    _skips.labels(label, intent, reason).inc()
