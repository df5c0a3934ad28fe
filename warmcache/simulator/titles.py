"""What the simulated model answers if it is asked to name a text: some of the text's own words."""

import re
from typing import Any

from warmcache.simulator.passages import STOP_WORDS
from warmcache.simulator.prompt import as_blocks

MAX_TOKENS = 64
"""Whoever wants a title wants no more."""
MAX_WORDS = 5

_ASKS = re.compile(r"\btitle\b", re.IGNORECASE)
_QUESTION = re.compile(r"<question>(.*?)</question>", re.DOTALL)
_WORD = re.compile(r"[^\W_][\w'’-]*")


def asks_for_title(body: dict[str, Any]) -> bool:
    system = " ".join(str(block.get("text", "")) for block in as_blocks(body.get("system") or []))
    return body.get("max_tokens", MAX_TOKENS + 1) <= MAX_TOKENS and _ASKS.search(system) is not None


def title_of(text: str) -> str:
    question = _QUESTION.search(text)
    words = _WORD.findall(question[1] if question else text)
    telling = [word for word in words if word.lower() not in STOP_WORDS] or words
    title = " ".join(telling[:MAX_WORDS])
    return title[:1].upper() + title[1:] or "Untitled"
