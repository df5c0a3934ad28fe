"""What an operator sees of one shared layer: the bytes that are sent, their tokens, what a warm-up costs and saves."""

import asyncio
import contextlib
from dataclasses import dataclass
from decimal import Decimal

from warmcache.core.catalog import facts_for
from warmcache.core.prefix import Prompt
from warmcache.core.reasons import Reason
from warmcache.runtime import wiring as runtimes
from warmcache.warmups.counting import count
from warmcache.warmups.shared_layers import alone, outline_of

COUNT_PATIENCE_SECONDS = 3.0
"""How long a page waits for the provider's count, before it shows an estimate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixReport:
    """Money in US dollars, None where the model has no known price."""

    body: bytes
    """As a warm-up sends it, but for `max_tokens`."""
    tokens: int
    is_counted: bool
    """Whether the provider has counted or billed it; otherwise `tokens` are estimated."""
    min_tokens: int
    is_model_known: bool
    obstacle: Reason | None
    """Why the API refuses to warm it."""
    ttl_seconds: int
    cost_usd: Decimal | None
    """Of one warm-up that finds it cold."""
    saved_usd: Decimal | None
    """By one request that reads it, beside one that would write it itself."""
    saved_seconds: float
    """Of waiting for the first token, as measured or, before that, as is usual."""

    @property
    def is_long_enough(self) -> bool:
        return self.tokens >= self.min_tokens


async def prefix_report(prompt: Prompt, *, label: str) -> PrefixReport:
    """Asks the provider to count the layer unless its tokens are known."""
    runtime = runtimes.get_runtime()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(COUNT_PATIENCE_SECONDS):
            await count(runtime, prompt, label=label)
    request = runtime.build(alone(prompt), None, label=label)
    outline = outline_of(request.prefix)
    tokens = outline.point.prefix_tokens if outline.point else 0
    ttl_seconds = outline.point.ttl_seconds if outline.point else 0
    facts, rates = facts_for(outline.model), runtime.rates(outline.model, tokens)
    cost_usd = None if rates is None else tokens * rates.cache_write(ttl_seconds)
    return PrefixReport(
        body=request.encoded(),
        tokens=tokens,
        is_counted=runtime.learning.is_counted(request.prefix),
        min_tokens=facts.min_prefix_tokens,
        is_model_known=facts.known,
        obstacle=outline.obstacle,
        ttl_seconds=ttl_seconds,
        cost_usd=cost_usd,
        saved_usd=None if rates is None or cost_usd is None else cost_usd - tokens * rates.cache_read,
        saved_seconds=runtime.learning.forecasts(label).prefill(outline.model).saved_seconds(tokens),
    )
