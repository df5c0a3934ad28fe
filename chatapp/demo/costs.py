"""What the first warm-up of each assistant would cost, stated before anybody spends it."""

from collections.abc import Iterator
from decimal import Decimal

from chatapp.conversations.prepared_conversations import shared_prompt
from chatapp.models import Assistant, TimeToLive
from warmcache.core.catalog import facts_for
from warmcache.services import expected_tokens
from warmcache.upstream.prices import rates_for


def first_warm_ups() -> Iterator[str]:
    """One sentence per assistant that can be warmed; blocks on the database and on slow imports."""
    for assistant in Assistant.objects.filter(retired_at=None):
        tokens = expected_tokens(shared_prompt(assistant), label=assistant.slug)
        if tokens < facts_for(assistant.model).min_prefix_tokens:
            continue
        yield f"First warm-up of {assistant.name}: about {tokens:,} tokens, {_price(assistant, tokens)}."


def _price(assistant: Assistant, tokens: int) -> str:
    rates = rates_for(assistant.model, tokens)
    if rates is None:
        return f"at a price that is not known for {assistant.model}"
    is_long = assistant.shared_ttl == TimeToLive.ONE_HOUR
    cost = (rates.cache_write_1h if is_long else rates.cache_write_5m) * tokens
    return f"at most about ${cost.quantize(Decimal('0.0001')).normalize():f}"
