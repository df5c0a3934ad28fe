"""The shared layers that were warmed of late: how large they are and how long they live. Synchronous."""

from django.db.models import Max

from warmcache.models import WarmUpLine

LATEST_LINES = 5000
"""So many of the newest lines are looked at, however large the ledger is."""


def latest_shared_layers(upstream: str) -> dict[tuple[str, str], tuple[int, int]]:
    """(label, model) -> (tokens, seconds that it lives), of the newest warm-up that wrote or renewed one."""
    newest = WarmUpLine.objects.aggregate(newest=Max("pk"))["newest"] or 0
    lines = WarmUpLine.objects.filter(pk__gt=newest - LATEST_LINES, layer="shared", warm_up__upstream=upstream)
    columns = ("warm_up__label", "warm_up__model", "prefix_tokens", "ttl_seconds")
    return {
        (label, model): (tokens, ttl_seconds)
        for label, model, tokens, ttl_seconds in lines.order_by("pk").values_list(*columns)
    }
