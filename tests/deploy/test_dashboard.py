"""The Grafana dashboard asks for metrics and labels that `/metrics` has."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from prometheus_client import Metric

from chatapp.process import metrics
from chatapp.process.metrics_sum import MetricsSum

DASHBOARD = json.loads((Path(__file__).resolve().parents[2] / "deploy/grafana/warmcache.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}


def families() -> Iterable[Metric]:
    """Of a process and of its supervisor, those without a sample yet too."""
    for registry in metrics.registries():
        yield from registry.collect()
    yield from MetricsSum().collect()


def labels_of(name: str) -> set[str]:
    """The labels that the code gives a metric, whether it has a sample or not."""
    for registry in metrics.registries():
        for collector in set(registry._collector_to_names):
            if getattr(collector, "_name", None) == name:
                return {"le", *collector._labelnames}
    return {"state"}


@pytest.mark.django_db
@pytest.mark.any_database
@pytest.mark.parametrize("query", [*QUERIES, DASHBOARD["templating"]["list"][1]["query"]])
def test_every_query_names_metrics_and_labels_that_exist(query: str) -> None:
    known = {family.name + suffix: family.name for family in families() for suffix in SUFFIXES[family.type]}

    asked = re.findall(r"warmcache_\w+", query)
    labels = set(re.findall(r"(\w+)=~", query)) | {
        label for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(", ")
    }

    assert asked
    assert [name for name in asked if name not in known] == []
    assert all(labels <= labels_of(known[name]) for name in asked)


def test_counters_are_asked_for_their_growth() -> None:
    """The value of a counter itself says how long the process has run."""
    naked = [
        query
        for query in QUERIES
        for name in re.findall(r"(?:^|\W)(\w+)\(warmcache_\w+_(?:total|bucket)\b", query)
        if name not in ("rate", "increase")
    ]

    assert naked == []
