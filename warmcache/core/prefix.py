"""From a conversation to a request: the ONE module that lays out blocks, breakpoints and hashes.

The same `build` makes a warm-up and the real request after it, so that warm bytes equal sent bytes by
construction. There are four layers, each shared by fewer requests than the one before:

    shared         tools, system blocks           everybody who uses the assistant
    conversation   history                        one conversation
    draft          attachments of the next turn   one draft
    turn           the person's own text          one request; marked so that the next warm-up reads it

Behind an answer of many blocks, the conversation's layer has a second mark, on the question: see `prepared.build`.

A layer's `prefix_hash` is a keyed digest over all bytes up to its breakpoint and over everything else that
decides whether the provider's cache entry matches. Source of the rules: Anthropic's page on prompt caching.

A `PreparedPrompt` (`core/prompt/prepared.py`) keeps what was encoded and hashed: a growing conversation pays only for
what is new. `build_request` prepares and builds in one step.
"""

from warmcache.core.prompt.answers import answer_turn, exchange_turns, is_tool_call, paused_turn, text_turn
from warmcache.core.prompt.forms import refuse_unknown
from warmcache.core.prompt.passages import TOKENS_PER_TURN, canonical_bytes
from warmcache.core.prompt.prepared import (
    LOOK_BACK_POSITIONS,
    PLACEHOLDER_TEXT,
    AnyPrompt,
    PreparedPrompt,
    build,
    prepare,
)
from warmcache.core.prompt.values import (
    Breakpoint,
    Content,
    Json,
    LastTurn,
    Layer,
    Message,
    Position,
    Prefix,
    PrefixKey,
    Prompt,
    Request,
    Turn,
    obstacle_to_prewarming,
)
from warmcache.core.ttl import TTL_SECONDS, Ttl, TtlChoice

__all__ = [
    "LOOK_BACK_POSITIONS",
    "PLACEHOLDER_TEXT",
    "TOKENS_PER_TURN",
    "TTL_SECONDS",
    "AnyPrompt",
    "Breakpoint",
    "Content",
    "Json",
    "LastTurn",
    "Layer",
    "Message",
    "Position",
    "Prefix",
    "PrefixKey",
    "PreparedPrompt",
    "Prompt",
    "Request",
    "Ttl",
    "TtlChoice",
    "Turn",
    "answer_turn",
    "build",
    "build_request",
    "canonical_bytes",
    "exchange_turns",
    "is_tool_call",
    "obstacle_to_prewarming",
    "paused_turn",
    "prepare",
    "refuse_unknown",
    "text_turn",
]


def build_request(prompt: Prompt, turn: LastTurn | None, key: PrefixKey) -> Request:
    """The request for `prompt` followed by the person's `turn` (API content blocks); None makes the warm-up.

    Both have the same body up to the last shared breakpoint. At most four blocks carry `cache_control`.
    """
    return build(prepare(prompt, key), turn)
