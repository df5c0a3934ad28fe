"""Rows of learned evidence: processes add what they observed and read the sum. Synchronous."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q

from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.moments import at
from warmcache.models import LearnedEvidence, answered

SILENCE_HORIZON_SECONDS = 7200.0
"""After so long without a follow-up, a request has told all that a plan needs: its silence is counted that far."""

COUNT_SILENCES_EVERY_SECONDS = 60.0
MAX_SILENCES = 2000
"""The most silences counted in one pass; the rest waits for the next."""


@transaction.atomic
def exchange(upstream: str, fresh: Mapping[str, Forecasts], *, now: float) -> dict[str, dict[str, Any]]:
    """Adds `fresh` (label -> evidence) to what is stored, and returns everything stored for this upstream."""
    for label in sorted(fresh):
        LearnedEvidence.objects.get_or_create(upstream=upstream, label=label)
        row = LearnedEvidence.objects.select_for_update().get(upstream=upstream, label=label)
        known = Forecasts()
        known.load(row.evidence)
        known.absorb(fresh[label])
        _count_silences(row, known, now)
        row.evidence = known.to_dict()
        row.save()
    return dict(LearnedEvidence.objects.filter(upstream=upstream).values_list("label", "evidence"))


def _count_silences(row: LearnedEvidence, known: Forecasts, now: float) -> None:
    """Adds the silences that no request ended: without them the forecast would promise returns that never come."""
    if row.label == LearnedEvidence.SPEED:
        return
    until = at(now - SILENCE_HORIZON_SECONDS)
    since = row.silence_counted_until
    if since is not None and (until - since).total_seconds() < COUNT_SILENCES_EVERY_SECONDS:
        return
    horizon = timedelta(seconds=SILENCE_HORIZON_SECONDS)
    ended = answered(row.label, row.upstream).filter(started_at__lt=until)
    if since is not None:
        ended = ended.filter(started_at__gte=since)
    silent = ended.filter(Q(followed_at=None)).order_by("started_at")
    counted = list(silent.values_list("started_at", "asked_tool")[:MAX_SILENCES])
    for _, asked_tool in counted:
        gaps = known.after_tool_use if asked_tool else known.after_reply
        gaps.observe(horizon.total_seconds(), returned=False)
    row.silence_counted_until = until if len(counted) < MAX_SILENCES else counted[-1][0] + timedelta(microseconds=1)
