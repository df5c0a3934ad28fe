"""`/metrics`: the process (or all processes on one port), its replies, and the last day of the ledger."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from django.db import DatabaseError
from django.db.models import Count, Sum
from django.utils import timezone
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from chatapp.conversations import prepared_conversations
from chatapp.process import open_sockets
from chatapp.process.health import health
from chatapp.quotas import refusals
from chatapp.replies import metrics, registry
from warmcache.models import LostWrites, SkipCount, WarmUp

CONTENT_TYPE = CONTENT_TYPE_LATEST

LEDGER_WINDOW = timedelta(days=1)
"""Bounded, so that a scrape costs the same however long the ledger is."""


class ThisProcess(Collector):
    """The current state. Several processes report the sum, so each of these metrics must make sense as a sum."""

    def collect(self) -> Iterable[Metric]:
        """Gauges, from memory only."""
        yield GaugeMetricFamily("warmcache_open_sockets", "Open WebSockets.", len(open_sockets.listed()))
        yield GaugeMetricFamily("warmcache_running_replies", "Replies being written.", registry.count())
        ready = prepared_conversations.store
        yield GaugeMetricFamily(
            "warmcache_prepared_conversations", "Conversations whose prompt is ready in memory.", len(ready)
        )
        sizes = GaugeMetricFamily("warmcache_prepared_bytes", "What prepared prompts take in memory.", labels=["part"])
        sizes.add_metric(["conversations"], ready.size_bytes)
        sizes.add_metric(["assistants"], ready.shared_bytes)
        yield sizes
        yield GaugeMetricFamily("warmcache_processes", "Server processes.", 1)
        yield GaugeMetricFamily("warmcache_draining", "Server processes that end.", int(health.draining.is_set()))


class Ledger(Collector):
    """The last day of the shared ledger. Every process reports the same values: take the maximum, not the sum."""

    def collect(self) -> Iterable[Metric]:
        """Gauges. If the database does not answer, only these are missing, and `warmcache_ledger_up` says so."""
        try:
            families = list(self._read())
        except DatabaseError:
            families = []
        yield GaugeMetricFamily("warmcache_ledger_up", "1 if the ledger could be read.", int(bool(families)))
        yield from families

    def _read(self) -> Iterator[Metric]:
        since = timezone.now() - LEDGER_WINDOW
        yield from self._warm_ups(since)
        skipped = GaugeMetricFamily(
            "warmcache_skips_last_day", "Warm-ups that were considered and not sent.", labels=["intent", "reason"]
        )
        rows = SkipCount.objects.filter(minute__gte=since).order_by().values_list("intent", "reason")
        for intent, reason, count in rows.annotate(Sum("count")):
            skipped.add_metric([intent, reason], count)
        yield skipped
        lost = LostWrites.objects.filter(minute__gte=since).aggregate(lost=Sum("count"))["lost"]
        yield GaugeMetricFamily("warmcache_lost_writes_last_day", "Rows that could not be written.", lost or 0)

    def _warm_ups(self, since: datetime) -> Iterator[Metric]:
        labels = ["intent", "outcome"]
        sent = GaugeMetricFamily("warmcache_warm_ups_last_day", "Warm-ups that were sent.", labels=labels)
        cost = GaugeMetricFamily("warmcache_warm_up_cost_usd_last_day", "What they cost, US dollars.", labels=labels)
        rows = WarmUp.objects.filter(started_at__gte=since).order_by().values_list("intent", "outcome")
        for intent, outcome, count, dollars in rows.annotate(Count("pk"), Sum("cost_usd")):
            sent.add_metric([intent, outcome or "waiting"], count)
            cost.add_metric([intent, outcome or "waiting"], float(dollars or 0))
        yield sent
        yield cost


_now = CollectorRegistry(auto_describe=False)
_now.register(ThisProcess())
ProcessCollector(registry=_now)
_ledger = CollectorRegistry(auto_describe=False)
_ledger.register(Ledger())


def of_this_process() -> bytes:
    """The metrics that this process has in memory, in the text format."""
    return generate_latest(_now) + generate_latest(metrics.registry) + generate_latest(refusals.registry)


_of_all: Callable[[], bytes] = of_this_process


def sum_over_processes(of_all: Callable[[], bytes]) -> None:
    """From now on `exposition` calls `of_all`, because this is one of several processes on the same port."""
    global _of_all
    _of_all = of_all


def exposition() -> bytes:
    """All metrics, in the text format. Blocks on the database, and on the other processes if there are any; raises
    `TimeoutError` if they do not answer."""
    return _of_all() + generate_latest(_ledger)
