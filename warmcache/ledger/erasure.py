"""Takes a person out of the ledger: rows keep what they cost and how they ended, but not for whom. Synchronous.

Roll-ups know no subject, so every sum stays the same.
"""

from typing import Any

from django.db.models import QuerySet

from warmcache.core.host_words import word_of
from warmcache.models import UsageRecord, WarmUp

ERASED = "(erased)"
"""The subject of all erased rows. Not empty: that is what hosts without subjects write."""

ROWS_AT_ONCE = 1000


def erase_some(subject: str, *, rows_at_once: int = ROWS_AT_ONCE) -> int:
    """One step; returns how many rows it changed, 0 once none names the subject. Each is a short statement."""
    word = word_of("subject", subject)
    if not word:
        raise ValueError("An empty subject is nobody's: its rows name nobody.")
    if word == ERASED:
        return 0
    changed = 0
    for model in (WarmUp, UsageRecord):
        rows: QuerySet[Any] = model.objects.filter(subject=word).order_by()
        ids = list(rows.values_list("pk", flat=True)[: rows_at_once - changed])
        changed += model.objects.filter(pk__in=ids).update(subject=ERASED, place="") if ids else 0
        if changed >= rows_at_once:
            break
    return changed


def erase_subject(subject: str) -> int:
    """Erases the subject, and the place of each of its rows; returns how many rows named it.

    What is still being written for this subject comes later: call it again once its requests have ended.
    """
    erased = 0
    while step := erase_some(subject):
        erased += step
    return erased
