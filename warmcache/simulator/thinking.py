"""Replayed thinking blocks: each is bound to the conversation in which it was made.

On the models listed here, a replayed thinking block is refused if anything before it has changed.
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


class _Conversation:
    """A running digest of the system prompt and the messages so far; breakpoints are ignored."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._digest = hashlib.blake2b(digest_size=12)
        self._role = ""
        for block in as_blocks(body.get("system") or []):
            self._digest.update(_canonical(block))

    def add(self, message: dict[str, Any]) -> None:
        if message["role"] != self._role:
            self._role = message["role"]
            self._digest.update(f"\0{self._role}\0".encode())
        for block in as_blocks(message["content"]):
            self._digest.update(_canonical(block))

    def digest(self) -> str:
        return self._digest.copy().hexdigest()


def conversation_digest(body: dict[str, Any]) -> str:
    """The digest of a request's whole conversation, for a thinking block of its reply."""
    conversation = _Conversation(body)
    for message in body["messages"]:
        conversation.add(message)
    return conversation.digest()


def check_thinking_is_preserved(body: dict[str, Any], facts: ModelFacts) -> None:
    """Refuses a thinking block of this model if the conversation before it has changed."""
    if facts.model not in _BOUND or not any(_thinks(message) for message in body["messages"]):
        return
    conversation = _Conversation(body)
    for n, message in enumerate(body["messages"]):
        # An answer that paused was continued after its own first blocks, and is one turn now.
        before = {conversation.digest()}
        for m, block in enumerate(as_blocks(message["content"])):
            if block.get("type") == "thinking":
                bound_to = _bound_to(block["signature"], facts)
                if bound_to is not None and bound_to not in before:
                    raise invalid(
                        f"messages.{n}.content.{m}: Invalid `signature` in `thinking` block. "
                        "The block is bound to a different conversation."
                    )
            conversation.add({"role": message["role"], "content": [block]})
            before.add(conversation.digest())


def _thinks(message: dict[str, Any]) -> bool:
    return any(block.get("type") == "thinking" for block in as_blocks(message["content"]))


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
