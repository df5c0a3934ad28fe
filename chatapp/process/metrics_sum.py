"""The sum of several processes' metrics: what Prometheus would see if everything had happened in one process."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

GROWING = {"counter", "histogram", "summary"}
OLDEST = ("process_start_time_seconds",)
CREATED = "_created"
"""The suffix of creation times, which Prometheus' client adds to each counter; for a sum they have no meaning."""

Key = tuple[str, tuple[tuple[str, str], ...]]


class MetricsSum(Collector):
    """Takes the newest report of each process, in the text format."""

    def __init__(self) -> None:
        self._reports: dict[int, str] = {}
        self._ended: list[Metric] = []
        self._restarts = 0

    def report(self, pid: int, text: str) -> None:
        self._reports[pid] = text

    def ended(self, pid: int, *, is_restarted: bool) -> None:
        """Keeps the counters of an ended process and drops its gauges, such as open sockets."""
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
    """One family per name: values are summed, but for start times the earliest counts."""
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
