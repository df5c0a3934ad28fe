"""Who met which limit: counted in memory and in the metrics at once, in the database about once a second."""

import threading
from datetime import UTC, date, datetime

from django.db import transaction
from django.db.models import F
from prometheus_client import CollectorRegistry, Counter

from chatapp.models import LimitMet, User
from chatapp.protocol.views import QuotaView

MAX_KEPT = 10_000
"""Persons, days and limits that may wait to be written; further ones are only in the metrics."""

registry = CollectorRegistry()
_met = Counter("warmcache_limits_met", "Messages that a limit refused.", ["measure", "scope"], registry=registry)

Key = tuple[int, date, str, str]
_lock = threading.Lock()
_waiting: dict[Key, tuple[int, str, datetime]] = {}


def note(user_id: int, quota: QuotaView, *, now: float) -> None:
    """Counts a refusal. In memory only: whoever sends in a loop must not cause a write for each message."""
    moment = datetime.fromtimestamp(now, tz=UTC)
    key = (user_id, moment.date(), str(quota.measure), str(quota.scope))
    _met.labels(quota.measure, quota.scope).inc()
    with _lock:
        if key in _waiting or len(_waiting) < MAX_KEPT:
            count, _, _ = _waiting.get(key, (0, "", moment))
            _waiting[key] = (count + 1, quota.limit, moment)


def write() -> None:
    """Writes what was counted since the last call. Called in a database thread; what cannot be written is kept."""
    with _lock:
        taken = dict(_waiting)
    if not taken:
        return
    with transaction.atomic():
        known = set(User.objects.filter(pk__in={user_id for user_id, *_ in taken}).values_list("pk", flat=True))
        for (user_id, day, measure, scope), (count, limit, last_at) in taken.items():
            if user_id in known:
                row, _ = LimitMet.objects.get_or_create(
                    user_id=user_id, day=day, measure=measure, scope=scope, defaults={"last_at": last_at}
                )
                LimitMet.objects.filter(pk=row.pk).update(count=F("count") + count, limit=limit, last_at=last_at)
    with _lock:
        for key, (count, _, _) in taken.items():
            now_waiting, limit, last_at = _waiting.pop(key)
            if now_waiting > count:
                _waiting[key] = (now_waiting - count, limit, last_at)
