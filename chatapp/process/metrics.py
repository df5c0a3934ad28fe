"""`/metrics`: the process (or all processes on one port), its replies and warm-ups, and the operator's policy."""

from collections.abc import Callable, Iterable

from django.db import DatabaseError
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from chatapp.conversations import prepared_conversations
from chatapp.process import loop_watch, open_sockets, warm_metrics
from chatapp.process.health import health
from chatapp.quotas import refusals
from chatapp.replies import metrics, registry
from warmcache.reports.vital_signs import policy_and_budget_left, vital_signs

CONTENT_TYPE = CONTENT_TYPE_LATEST


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
        signs = vital_signs()
        yield GaugeMetricFamily(
            "warmcache_redis_lost", "Server processes that Redis does not answer.", signs.is_redis_lost
        )
        yield GaugeMetricFamily(
            "warmcache_warming_paused", "Server processes whose warming pauses for the provider.", signs.is_paused
        )
        yield GaugeMetricFamily("warmcache_waiting_writes", "Writes of the ledger that wait.", signs.waiting_writes)
        yield CounterMetricFamily("warmcache_lost_writes", "Rows that could not be written.", signs.lost_writes)
        threads = GaugeMetricFamily("warmcache_database_threads", "Threads for the database.", labels=["state"])
        threads.add_metric(["busy"], signs.threads.busy)
        threads.add_metric(["free"], signs.threads.most - signs.threads.busy)
        yield threads
        yield GaugeMetricFamily("warmcache_database_waiting_calls", "Calls that wait for one.", signs.threads.waiting)


class Operator(Collector):
    """What all processes share, read from the database. Every process reports the same: asked once, not summed."""

    def collect(self) -> Iterable[Metric]:
        """Gauges. If the database does not answer, only these are missing, and `warmcache_database_up` says so."""
        try:
            policy, left_usd = policy_and_budget_left()
        except DatabaseError:
            yield GaugeMetricFamily("warmcache_database_up", "1 if the database answered this scrape.", 0)
            return
        yield GaugeMetricFamily("warmcache_database_up", "1 if the database answered this scrape.", 1)
        for name, meaning, value in (
            ("warming_enabled", "1 unless warming is off, in the settings or in the admin.", policy.is_enabled),
            ("daily_budget_usd", "What warm-ups may cost in a UTC day.", policy.daily_usd),
            ("daily_budget_left_usd", "What is left of it today.", left_usd),
            ("max_warm_up_cost_usd", "The cap of one warm-up.", policy.max_cost_per_warm_up_usd),
            ("value_of_second_usd", "The operator's price of one saved second.", policy.value_of_second_usd),
            ("holdout_share", "Part of the visits that is not warmed, by lot.", policy.holdout_share),
        ):
            yield GaugeMetricFamily(f"warmcache_policy_{name}", meaning, float(value))


_now = CollectorRegistry(auto_describe=False)
_now.register(ThisProcess())
ProcessCollector(registry=_now)
_operator = CollectorRegistry(auto_describe=False)
_operator.register(Operator())
_parts = (_now, metrics.registry, warm_metrics.registry, loop_watch.registry, refusals.registry)


def registries() -> tuple[CollectorRegistry, ...]:
    """All that a process registers, for tests of what reads `/metrics`."""
    return (*_parts, _operator)


def of_this_process() -> bytes:
    """The metrics that this process has in memory, in the text format."""
    return b"".join(generate_latest(part) for part in _parts)


_of_all: Callable[[], bytes] = of_this_process


def sum_over_processes(of_all: Callable[[], bytes]) -> None:
    """From now on `exposition` calls `of_all`, because this is one of several processes on the same port."""
    global _of_all
    _of_all = of_all


def exposition() -> bytes:
    """All metrics, in the text format. Blocks on the database, and on the other processes if there are any; raises
    `TimeoutError` if they do not answer."""
    return _of_all() + generate_latest(_operator)
