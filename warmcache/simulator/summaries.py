"""What the simulated model answers if it is asked to summarise the conversation: how the person's messages begin."""

from typing import Any

from warmcache.simulator.prompt import as_blocks

ASKS = "Summarise our conversation"
OPENING = "This is a simulated summary: no model was asked. The person's messages began like this:"
MAX_LISTED = 40
MAX_WORDS = 12


def asks_for_summary(question: str) -> bool:
    return ASKS in question


def summary_of(body: dict[str, Any]) -> str:
    """Without the last message, which asks for it."""
    said = [_begins(message["content"]) for message in body["messages"][:-1] if message["role"] == "user"]
    listed = [f"- {words}" for words in said if words]
    left_out = len(listed) - MAX_LISTED
    more = [f"- and {left_out} more before these"] if left_out > 0 else []
    return "\n".join([OPENING, *more, *listed[-MAX_LISTED:]])


def _begins(content: Any) -> str:
    texts = [str(block["text"]) for block in as_blocks(content) if block.get("type") == "text"]
    words = texts[-1].split() if texts else []
    return " ".join(words[:MAX_WORDS]) + ("..." if len(words) > MAX_WORDS else "")
