"""Thinking blocks that come back: they are bound to the conversation in which they were made.

On the models listed here a thinking block that is replayed after anything before it has changed is refused.
Blocks of other models, and blocks that this simulator did not sign, are ignored.
"""

import base64
import binascii
import hashlib
import json
from typing import Any

from warmcache.core.catalog import ModelFacts
from warmcache.simulator.errors import invalid
from warmcache.simulator.prompt import as_blocks

_PREFIX = "simulated"
_BOUND = frozenset(
    f"claude-{name}" for name in ("fable-5-2", "mythos-5-2", "fable-5-1", "mythos-5-1", "opus-5-5", "sonnet-5-5")
)


def signature_for(facts: ModelFacts, bound_to: str) -> str:
    """An opaque signature that names its model and the conversation before it."""
    return base64.b64encode(f"{_PREFIX}|{facts.model}|{bound_to}".encode()).decode()


def conversation_digest(body: dict[str, Any], end: int | None = None) -> str:
    """Names the system prompt and the messages before position `end`; breakpoints do not count."""
    digest = hashlib.blake2b(digest_size=12)
    role = ""
    for block in as_blocks(body.get("system") or []):
        digest.update(_canonical(block))
    for message in body["messages"][:end]:
        if message["role"] != role:
            role = message["role"]
            digest.update(f"\0{role}\0".encode())
        for block in as_blocks(message["content"]):
            digest.update(_canonical(block))
    return digest.hexdigest()


def check_thinking_is_preserved(body: dict[str, Any], facts: ModelFacts) -> None:
    """Refuse a thinking block of this model whose earlier conversation has changed."""
    if facts.model not in _BOUND:
        return
    for n, message in enumerate(body["messages"]):
        for m, block in enumerate(as_blocks(message["content"])):
            if block.get("type") != "thinking":
                continue
            bound_to = _bound_to(block["signature"], facts)
            if bound_to is not None and bound_to != conversation_digest(body, n):
                raise invalid(
                    f"messages.{n}.content.{m}: Invalid `signature` in `thinking` block. "
                    "The block is bound to a different conversation."
                )


def _bound_to(signature: str, facts: ModelFacts) -> str | None:
    try:
        parts = base64.b64decode(signature, validate=True).decode().split("|")
    except (binascii.Error, ValueError):
        return None
    if len(parts) != 3 or parts[0] != _PREFIX or parts[1] != facts.model:
        return None
    return parts[2]


def _canonical(block: dict[str, Any]) -> bytes:
    kept = {key: value for key, value in block.items() if key != "cache_control" and value is not None}
    return json.dumps(kept, sort_keys=True).encode()
