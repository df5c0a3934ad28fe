"""What an operator sees of an assistant's long conversations: what a history costs per turn, and what summaries do."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from django.db.models import Count, Sum
from django.utils import timezone

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
    by = "by the same model, from its warm cache" if model == assistant.model else f"by {model}, from the texts alone"
    yield "summarised above", f"{threshold:,} tokens of history without files, {by}" if threshold else "never"
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
        yield f"each turn pays for {tokens:,} tokens", f"{warm} from a warm cache, {cold} after a pause"
        yield "one summary", f"about {_dollars(cost.summary_usd)}, {_breakeven(cost)}"
    since = timezone.now() - timedelta(days=DAYS)
    recent = Summary.objects.filter(conversation__assistant=assistant, written_at__gte=since)
    done = recent.aggregate(count=Count("pk"), used=Count("used_from"), usd=Sum("cost_usd"))
    told = f"{done['count']:,} for {_dollars(done['usd'] or Decimal(0))}, {done['used']:,} of them in use"
    yield f"written in {DAYS} days", told


def _breakeven(cost: HistoryCost) -> str:
    if cost.breakeven_turns is None:
        return "which never pays"
    return f"paid for after {cost.breakeven_turns:.0f} turns from a warm cache, or one after a pause"


def _dollars(amount: Decimal) -> str:
    return f"${amount:.4f}"
