"""What an operator sees of an assistant's long conversations: what a history costs per turn, and what summaries do."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from django.db.models import Count, Sum
from django.utils import timezone
from django.utils.translation import gettext

from chatapp.conversations.history_cost import HistoryCost
from chatapp.conversations.summaries import TAIL_MESSAGES, threshold_of, writer_of
from chatapp.models import Assistant, Summary
from warmcache.upstream.prices import rates_for

DAYS = 30
EXAMPLE_TOKENS = 60_000
"""The length that is told of where nothing is summarised."""
MESSAGE_TOKENS = 400
"""Of a usual message of the tail."""


def lines_of(assistant: Assistant) -> Iterator[tuple[str, str]]:
    """Words and figures, in order. Called in a database thread, or by a view."""
    threshold, model = threshold_of(assistant), writer_of(assistant)
    told = (
        gettext("%(tokens)s tokens of history without files, by the same model, from its warm cache")
        if model == assistant.model
        else gettext("%(tokens)s tokens of history without files, by %(model)s, from the texts alone")
    )
    told %= {"tokens": f"{threshold:,}", "model": model}
    yield gettext("summarised above"), told if threshold else gettext("never")
    tokens = threshold or EXAMPLE_TOKENS
    rates = rates_for(assistant.model, tokens)
    if rates is not None:
        cost = HistoryCost(
            history_tokens=tokens,
            rates=rates,
            writer=None if model == assistant.model else rates_for(model, tokens),
            tail_tokens=TAIL_MESSAGES * MESSAGE_TOKENS,
        )
        warm, cold = _dollars(cost.warm_turn_usd), _dollars(cost.cold_turn_usd)
        name = gettext("each turn pays for %(tokens)s tokens") % {"tokens": f"{tokens:,}"}
        yield name, gettext("%(warm)s from a warm cache, %(cold)s after a pause") % {"warm": warm, "cold": cold}
        yield gettext("one summary"), _breakeven(cost)
    since = timezone.now() - timedelta(days=DAYS)
    recent = Summary.objects.filter(conversation__assistant=assistant, written_at__gte=since)
    done = recent.aggregate(count=Count("pk"), used=Count("used_from"), usd=Sum("cost_usd"))
    told = gettext("%(count)s for %(usd)s, %(used)s of them in use") % {
        "count": f"{done['count']:,}",
        "usd": _dollars(done["usd"] or Decimal(0)),
        "used": f"{done['used']:,}",
    }
    yield gettext("written in %(days)d days") % {"days": DAYS}, told


def _breakeven(cost: HistoryCost) -> str:
    usd = _dollars(cost.summary_usd)
    if cost.breakeven_turns is None:
        return gettext("about %(usd)s, which never pays") % {"usd": usd}
    told = gettext("about %(usd)s, paid for after %(turns)s turns from a warm cache, or one after a pause")
    return told % {"usd": usd, "turns": f"{cost.breakeven_turns:.0f}"}


def _dollars(amount: Decimal) -> str:
    return f"${amount:.4f}"
