"""The metrics of several processes as one: what Prometheus would see if all of it had happened in a single process."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

GROWING = {"counter", "histogram", "summary"}
OLDEST = ("process_start_time_seconds",)
CREATED = "_created"
"""Prometheus' client adds the time of each counter's birth; of a sum it says nothing."""

Key = tuple[str, tuple[tuple[str, str], ...]]


class MetricsSum(Collector):
    """Takes reports in the text format, each the newest of its process."""

    def __init__(self) -> None:
        self._reports: dict[int, str] = {}
        self._ended: list[Metric] = []
        self._restarts = 0

    def report(self, pid: int, text: str) -> None:
        self._reports[pid] = text

    def ended(self, pid: int, *, is_restarted: bool) -> None:
        """What the process has counted stays; what it held, as open sockets, is gone with it."""
        self._restarts += is_restarted
        text = self._reports.pop(pid, "")
        grown = [family for family in text_string_to_metric_families(text) if family.type in GROWING]
        self._ended = list(_summed([*self._ended, *grown]))

    def text(self) -> str:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry).decode()

    def collect(self) -> Iterable[Metric]:
        reported = [family for text in self._reports.values() for family in text_string_to_metric_families(text)]
        yield from _summed([*self._ended, *reported])
        yield CounterMetricFamily(
            "warmcache_process_restarts", "Server processes that were started again.", self._restarts
        )


def _summed(families: Iterable[Metric]) -> Iterable[Metric]:
    """One family of each name. Sums, but the earliest of starting times."""
    sums: dict[str, Metric] = {}
    values: dict[str, dict[Key, float]] = {}
    for family in families:
        if family.name.endswith(CREATED):
            continue
        sums.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        held = values.setdefault(family.name, {})
        for sample in family.samples:
            key = sample.name, tuple(sample.labels.items())
            if sample.name.endswith(CREATED):
                continue
            if family.name in OLDEST:
                held[key] = min(held.get(key, sample.value), sample.value)
            else:
                held[key] = held.get(key, 0.0) + sample.value
    for name, family in sums.items():
        family.samples = [Sample(key[0], dict(key[1]), value) for key, value in values[name].items()]
        yield family
