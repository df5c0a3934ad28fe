"""The metrics of several processes as one."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from chatapp.process.metrics_sum import MetricsSum


def report(*, replies: float = 0, sockets: float = 0, waits: tuple[float, ...] = (), started_at: float = 0) -> str:
    registry = CollectorRegistry()
    Counter("warmcache_replies", "Replies.", ["status"], registry=registry).labels("complete").inc(replies)
    Gauge("warmcache_open_sockets", "Sockets.", registry=registry).set(sockets)
    Gauge("process_start_time_seconds", "Start.", registry=registry).set(started_at)
    histogram = Histogram("warmcache_wait_seconds", "Waits.", buckets=(1.0, 2.0), registry=registry)
    for wait in waits:
        histogram.observe(wait)
    return generate_latest(registry).decode()


def told(metrics: MetricsSum) -> dict[str, float]:
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.text())
        for sample in family.samples
    }


def test_what_processes_count_and_hold_is_added_up():
    metrics = MetricsSum()

    metrics.report(1, report(replies=2, sockets=10, waits=(0.5, 1.5), started_at=300))
    metrics.report(2, report(replies=3, sockets=20, waits=(9.0,), started_at=200))

    sums = told(metrics)
    assert sums["warmcache_replies_total complete"] == 5
    assert sums["warmcache_open_sockets"] == 30
    assert sums["warmcache_wait_seconds_bucket 1.0"] == 1
    assert sums["warmcache_wait_seconds_bucket +Inf"] == sums["warmcache_wait_seconds_count"] == 3
    assert sums["warmcache_wait_seconds_sum"] == 11
    assert sums["process_start_time_seconds"] == 200


def test_a_newer_report_takes_the_place_of_the_older_one():
    metrics = MetricsSum()

    for replies in (2, 3):
        metrics.report(1, report(replies=replies))

    assert told(metrics)["warmcache_replies_total complete"] == 3


def test_what_a_process_counted_outlives_it_and_what_it_held_does_not():
    metrics = MetricsSum()
    for pid in (1, 2):
        metrics.report(pid, report(replies=2, sockets=10, waits=(0.5,)))
        metrics.ended(pid, is_restarted=True)
    metrics.report(3, report(replies=1, sockets=5))

    sums = told(metrics)

    assert sums["warmcache_replies_total complete"] == 5
    assert sums["warmcache_wait_seconds_count"] == 2
    assert sums["warmcache_open_sockets"] == 5
    assert sums["warmcache_process_restarts_total"] == 2


def test_a_process_that_died_without_a_report_takes_nothing_from_the_sum():
    metrics = MetricsSum()
    metrics.report(1, report(replies=2))

    metrics.ended(2, is_restarted=False)

    sums = told(metrics)
    assert sums["warmcache_replies_total complete"] == 2
    assert sums["warmcache_process_restarts_total"] == 0


def test_births_of_counters_are_not_added_up():
    metrics = MetricsSum()
    metrics.report(1, report(replies=2))

    assert not [name for name in told(metrics) if "_created" in name]
