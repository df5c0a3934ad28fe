"""The public API, for async code. Every function works on the running event loop's runtime.

attempt = await prewarm_prefix(prompt, intent="typing", label="helpdesk", subject="user 7")
async with stream_response(prompt, turn, max_tokens=4096, label="helpdesk") as response:
    async for event in response: ...
"""

from collections.abc import Sequence

from warmcache import runtime as runtimes
from warmcache import warming, warmth
from warmcache.core.policy import Action, Decision
from warmcache.core.prefix import Json, Prefix, Prompt, build_request
from warmcache.records import Origin
from warmcache.streaming import ResponseStream
from warmcache.warming import Attempt
from warmcache.warmth import Warmth

__all__ = [
    "Attempt",
    "Decision",
    "ResponseStream",
    "Warmth",
    "close",
    "consider_prefix",
    "flush",
    "outline",
    "prewarm_prefix",
    "stream_response",
    "warmth_of",
]


def outline(prompt: Prompt) -> Prefix:
    """The cacheable part of a prompt without its content: a few hundred bytes that `consider_prefix` can be asked
    again and again. Hashes the whole prompt, so keep it until the prompt changes."""
    return build_request(prompt, None, runtimes.get_runtime().config.prefix_key).prefix


async def warmth_of(prefix: Prefix) -> Warmth:
    """What is believed of a prefix right now."""
    return await warmth.warmth_of(runtimes.get_runtime(), prefix)


async def consider_prefix(prefix: Prefix, *, intent: str, label: str = "") -> Attempt | None:
    """The policy's answer where it is a skip (counted), or None where `prewarm_prefix` should be called.

    For hot paths: no SQL, no hashing, one look-up in the store.
    """
    runtime = runtimes.get_runtime()
    decision = await warming.consider(runtime, prefix, intent=intent, label=label)
    return warming.skipped_attempt(runtime, prefix, decision) if decision.action is Action.SKIP else None


async def prewarm_prefix(prompt: Prompt, *, intent: str, label: str = "", subject: str = "") -> Attempt:
    """Decides whether to warm `prompt` now, and if so sends the warm-up in the background.

    `intent` is one of `warmcache.models.Intent`; `label` (which product, which assistant) and `subject` (for whom) are
    the host's words and are stored with the row. Never raises because the provider fails: `attempt.finished` then
    gives a `Warmth` with state `failed` and the reason.
    """
    return await warming.prewarm(runtimes.get_runtime(), prompt, intent=intent, label=label, subject=subject)


def stream_response(
    prompt: Prompt,
    turn: Sequence[Json],
    *,
    max_tokens: int,
    purpose: str = "reply",
    label: str = "",
    subject: str = "",
) -> ResponseStream:
    """The real request: `prompt` followed by the person's `turn` (API content blocks). See `ResponseStream`."""
    runtime = runtimes.get_runtime()
    origin = Origin(label=label, subject=subject, upstream=runtime.provider.capabilities.upstream)
    return ResponseStream(runtime, prompt, turn, max_tokens=max_tokens, purpose=purpose, origin=origin)


async def flush() -> None:
    """Returns when all that was decided and sent so far stands in the database, and what time has ended is settled."""
    await runtimes.get_runtime().ledger.flush()


async def close() -> None:
    """Flushes, ends background tasks and closes connections of the running event loop; call it at shutdown."""
    await runtimes.close_runtime()
