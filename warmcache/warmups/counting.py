"""The provider counts a shared layer, free of charge, before anybody is billed for it: after an edit, off requests."""

import logging

from warmcache.background.database import in_database_thread
from warmcache.background.timers import Timer
from warmcache.core.catalog import facts_for
from warmcache.core.errors import UpstreamError
from warmcache.core.estimates import prior_tokens, text_size, tokens_of
from warmcache.core.prefix import PLACEHOLDER_TEXT, TOKENS_PER_TURN, Prompt
from warmcache.runtime.state import Runtime
from warmcache.warmups.shared_layers import SharedLayer, alone

logger = logging.getLogger(__name__)

COUNT_AFTER_SECONDS = 1.0
"""An edit is saved in several steps, an assistant and its documents: the last of them counts."""


def count_soon(runtime: Runtime, layer: SharedLayer) -> None:
    """Has the layer counted as it is in a moment."""
    at = runtime.clock.now() + COUNT_AFTER_SECONDS
    runtime.timers.set(f"count {layer.label}", Timer(at=at, action=lambda: _count(runtime, layer)))


async def _count(runtime: Runtime, layer: SharedLayer) -> None:
    if not runtime.provider.capabilities.counts_tokens:
        return
    prompt = await in_database_thread(layer.load)
    if prompt is not None:
        await count(runtime, prompt, label=layer.label)


async def count(runtime: Runtime, prompt: Prompt, *, label: str) -> None:
    """Has the provider count it, unless its tokens are known; if that fails, they stay estimated."""
    request = runtime.build(alone(prompt), None, label=label)
    prefix = request.prefix
    if runtime.learning.has_count(prefix):
        return
    try:
        provider = await runtime.connected()
        if not provider.capabilities.counts_tokens:
            return
        counted = await provider.count_tokens(request)
    except UpstreamError as error:
        logger.info("The shared layer of %s could not be counted; it is estimated: %s", label, error.code)
        return
    placeholder = tokens_of(text_size(PLACEHOLDER_TEXT), prior_tokens(facts_for(prefix.model)))
    runtime.learning.saw_count(label, prefix, counted - TOKENS_PER_TURN - placeholder)
