"""Warm the Claude prompt cache before the message is sent.

    from warmcache import Prompt, Turn, prewarm_prefix, stream_response

`__all__` is what is public here, beside the modules that the README names. A name is loaded from its home on first
use: `import warmcache` loads nothing else, and values and errors load without Django.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warmcache.core.answers import AnswerContent
    from warmcache.core.blocks import BlockKind
    from warmcache.core.errors import (
        ConfigurationError,
        PrewarmRefused,
        StreamBroken,
        UpstreamError,
        UpstreamRefused,
        UpstreamUnavailable,
        WarmcacheError,
    )
    from warmcache.core.failures import Failure
    from warmcache.core.intents import Intent
    from warmcache.core.outcomes import Outcome, Purpose, RequestStatus, RequestWarmth, WarmthState
    from warmcache.core.ports import (
        BlockBegan,
        BlockDelta,
        BlockEnded,
        BlockExtended,
        BlockSigned,
        OtherEvent,
        StreamBegan,
        StreamEnded,
        StreamEvent,
    )
    from warmcache.core.prefix import (
        AnyPrompt,
        Prefix,
        PreparedPrompt,
        Prompt,
        Turn,
        answer_turn,
        exchange_turns,
        paused_turn,
        text_turn,
    )
    from warmcache.core.reasons import Reason
    from warmcache.core.upstreams import Upstream
    from warmcache.core.usage import Usage
    from warmcache.services import (
        Attempt,
        Decision,
        Ending,
        Response,
        ResponseStream,
        Result,
        SharedLayer,
        Warmth,
        body_of,
        cancel_refresh,
        close,
        consider_prefix,
        count_soon,
        expected_tokens,
        flush,
        forget,
        holder_of,
        outline,
        prepare_prompt,
        prewarm_prefix,
        register_shared_layers,
        report,
        respond,
        schedule_refresh,
        start,
        stream_response,
        warm_now,
        warmth_of,
    )
else:
    # Out of a type checker's sight, to which a module with `__getattr__` has every name, mistyped ones too.

    def __getattr__(name: str) -> object:
        """A public name from its home (PEP 562)."""
        from importlib import import_module

        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = next(module for module in map(import_module, _HOMES) if name in vars(module))
        globals()[name] = vars(home)[name]  # the next look-up does not come here
        return vars(home)[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "AnswerContent",
    "AnyPrompt",
    "Attempt",
    "BlockBegan",
    "BlockDelta",
    "BlockEnded",
    "BlockExtended",
    "BlockKind",
    "BlockSigned",
    "ConfigurationError",
    "Decision",
    "Ending",
    "Failure",
    "Intent",
    "OtherEvent",
    "Outcome",
    "Prefix",
    "PreparedPrompt",
    "PrewarmRefused",
    "Prompt",
    "Purpose",
    "Reason",
    "RequestStatus",
    "RequestWarmth",
    "Response",
    "ResponseStream",
    "Result",
    "SharedLayer",
    "StreamBegan",
    "StreamBroken",
    "StreamEnded",
    "StreamEvent",
    "Turn",
    "Upstream",
    "UpstreamError",
    "UpstreamRefused",
    "UpstreamUnavailable",
    "Usage",
    "WarmcacheError",
    "Warmth",
    "WarmthState",
    "answer_turn",
    "body_of",
    "cancel_refresh",
    "close",
    "consider_prefix",
    "count_soon",
    "exchange_turns",
    "expected_tokens",
    "flush",
    "forget",
    "holder_of",
    "outline",
    "paused_turn",
    "prepare_prompt",
    "prewarm_prefix",
    "register_shared_layers",
    "report",
    "respond",
    "schedule_refresh",
    "start",
    "stream_response",
    "text_turn",
    "warm_now",
    "warmth_of",
]

_HOMES = (
    "warmcache.core.blocks",
    "warmcache.core.failures",
    "warmcache.core.errors",
    "warmcache.core.intents",
    "warmcache.core.outcomes",
    "warmcache.core.reasons",
    "warmcache.core.upstreams",
    "warmcache.core.usage",
    "warmcache.core.prefix",
    "warmcache.core.ports",
    "warmcache.core.answers",
    "warmcache.services",
)
"""Searched in this order: what needs Django comes last."""
