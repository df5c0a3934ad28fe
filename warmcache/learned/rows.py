"""Rows of learned evidence: processes add what they observed and read the sum. Synchronous."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Q

from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.forecast.teaching import SILENCE_CHECKPOINTS, teach_silence
from warmcache.core.moments import at
from warmcache.databases import in_transaction_of
from warmcache.models import LearnedEvidence, answered

TELL_SILENCES_EVERY_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Silences:
    """So many silences of one kind that reached a checkpoint and are in no evidence yet."""

    checkpoint: int
    asked_tool: bool
    count: int


@in_transaction_of(LearnedEvidence)
def exchange(upstream: str, fresh: Mapping[str, Forecasts], *, now: float) -> dict[str, dict[str, Any]]:
    """Adds `fresh` (label -> evidence), and the silences that go on, to what is stored; returns everything stored for
    this upstream. The row of speeds is locked first, so processes take turns."""
    clock, _ = LearnedEvidence.objects.get_or_create(upstream=upstream, label=LearnedEvidence.SPEED)
    clock = LearnedEvidence.objects.select_for_update().get(pk=clock.pk)
    for label in sorted(fresh):
        LearnedEvidence.objects.get_or_create(upstream=upstream, label=label)
    silences = _silences_to_tell(clock, now)
    for label in sorted({*fresh, *silences}):
        row = clock if label == clock.label else _locked(upstream, label)
        known = Forecasts()
        known.load(row.evidence)
        if label in fresh:
            known.absorb(fresh[label])
        for told in silences.get(label, ()):
            teach_silence(known, told.checkpoint, asked_tool=told.asked_tool, count=told.count)
        row.evidence = known.to_dict()
        row.save()
    return stored(upstream)


def stored(upstream: str, labels: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
    """What all processes have learned of this upstream, by label; of some labels or of all."""
    found = LearnedEvidence.objects.filter(upstream=upstream)
    chosen = found if labels is None else found.filter(label__in=labels)
    return dict(chosen.values_list("label", "evidence"))


def _locked(upstream: str, label: str) -> LearnedEvidence:
    return LearnedEvidence.objects.select_for_update().get(upstream=upstream, label=label)


def _silences_to_tell(clock: LearnedEvidence, now: float) -> dict[str, list[_Silences]]:
    """The silences that have reached a checkpoint since the last time, by label: only of labels with a row."""
    until, since = at(now), clock.silence_counted_until
    if since is not None and (until - since).total_seconds() < TELL_SILENCES_EVERY_SECONDS:
        return {}
    clock.silence_counted_until = until
    clock.save(update_fields=["silence_counted_until"])
    labels = set(LearnedEvidence.objects.filter(upstream=clock.upstream).values_list("label", flat=True))
    found: dict[str, list[_Silences]] = {}
    for label, silences in _reached(clock.upstream, since, until) if since is not None else ():
        if label in labels:
            found.setdefault(label, []).append(silences)
    return found


def _reached(upstream: str, since: datetime, until: datetime) -> Iterable[tuple[str, _Silences]]:
    """Which requests had no successor at each checkpoint. One that came later has told of the rest by itself.

    A reply that takes longer than a checkpoint has no row then: of it, only what follows is told.
    """
    for checkpoint, seconds in enumerate(SILENCE_CHECKPOINTS):
        lasted = timedelta(seconds=seconds)
        silent = answered(upstream).filter(
            Q(followed_at=None) | Q(followed_at__gte=F("started_at") + lasted),
            started_at__gte=since - lasted,
            started_at__lt=until - lasted,
        )
        for label, asked_tool, count in (
            silent.order_by().values_list("label", "asked_tool").annotate(count=Count("pk"))
        ):
            yield label, _Silences(checkpoint=checkpoint, asked_tool=asked_tool, count=count)
