"""The JSON of a message and its usage, as the API sends it."""

from dataclasses import dataclass
from typing import Any

from warmcache.simulator.engine import CacheUsage
from warmcache.simulator.replies import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageHead:
    """The identifying fields of a message, before anything is generated."""

    message_id: str
    model: str
    diagnostics: dict[str, Any] | None
    inference_geo: str
    """Where it is answered, as `usage` says."""


def usage_json(head: MessageHead, usage: CacheUsage, *, output_tokens: int, thinking_tokens: int = 0) -> dict[str, Any]:
    """The `usage` of a response."""
    counted: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m_tokens,
            "ephemeral_1h_input_tokens": usage.cache_write_1h_tokens,
        },
        "output_tokens": output_tokens,
        "service_tier": "standard",
        "inference_geo": head.inference_geo,
    }
    if thinking_tokens:
        counted["output_tokens_details"] = {"thinking_tokens": thinking_tokens}
    return counted


def message_json(head: MessageHead, usage: dict[str, Any]) -> dict[str, Any]:
    """A message without content, as `message_start` shows it."""
    return {
        "id": head.message_id,
        "type": "message",
        "role": "assistant",
        "model": head.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "diagnostics": head.diagnostics,
        "usage": usage,
    }


def warm_up_json(head: MessageHead, usage: CacheUsage) -> dict[str, Any]:
    """The answer to `max_tokens: 0`: no content, and the usage once more per iteration."""
    counted = usage_json(head, usage, output_tokens=0)
    counted["iterations"] = [{**counted, "type": "message"}]
    return {**message_json(head, counted), "stop_reason": "max_tokens"}


def complete_json(head: MessageHead, usage: CacheUsage, reply: Reply) -> dict[str, Any]:
    """A complete message, for a call without streaming."""
    counted = usage_json(head, usage, output_tokens=reply.output_tokens, thinking_tokens=reply.thinking_tokens)
    return {
        **message_json(head, counted | reply.more_usage),
        "content": [block.content() for block in reply.blocks],
        "stop_reason": reply.stop_reason,
        "stop_sequence": reply.stop_sequence,
        "stop_details": reply.stop_details,
        **({"container": reply.container} if reply.container is not None else {}),
    }
