"""Replies that a test dictates, in the order in which they were queued.

A script is an object with `text` (one text block), or `tokens` (filler of that length), or `blocks`: a list of
`{"type": "text", "text"}` (with `citations` if it has some), `{"type": "thinking", "thinking"}` (empty for thinking
that is not shown, with `tokens`), `{"type": "tool_use", "name", "input"}` and other blocks, which are sent unchanged.
Optional: `stop_reason`, `stop_sequence`, `stop_details`, `container`, `usage` (further counters, such as
`server_tool_use`), `tokens_per_second`, `ttft_seconds`, `times`.
"""

from dataclasses import dataclass
from typing import Any

from warmcache.core.catalog import ModelFacts
from warmcache.simulator.replies import Reply, ReplyBlock, text_block
from warmcache.simulator.thinking import signature_for
from warmcache.simulator.tokens import canonical_json, text_tokens

_FIELDS = frozenset(
    {"text", "tokens", "blocks", "stop_reason", "stop_sequence", "stop_details", "container", "times"}
    | {"tokens_per_second", "ttft_seconds", "usage"}
)
_FILLER = "This sentence is filler of a simulated reply, number {number}. "


class BadScriptError(ValueError):
    """A scripted reply has the wrong shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One dictated reply, for `times` calls."""

    data: dict[str, Any]
    times: int = 1

    def reply(self, facts: ModelFacts, *, bound_to: str, new_id: str) -> Reply:
        """The reply for a model; `new_id` is used for a tool call without its own id."""
        blocks = tuple(
            _block(block, facts, bound_to, f"{new_id}{number or ''}")
            for number, block in enumerate(_raw_blocks(self.data, facts))
        )
        uses_tool = any(block.kind == "tool_use" for block in blocks)
        return Reply(
            blocks=blocks,
            stop_reason=self.data.get("stop_reason") or ("tool_use" if uses_tool else "end_turn"),
            stop_sequence=self.data.get("stop_sequence"),
            stop_details=self.data.get("stop_details"),
            container=self.data.get("container"),
            more_usage=self.data.get("usage") or {},
            tokens_per_second=self.data.get("tokens_per_second"),
            ttft_seconds=self.data.get("ttft_seconds"),
        )


class ScriptQueue:
    """Scripts that wait for their calls."""

    def __init__(self) -> None:
        self._waiting: list[Script] = []

    def add(self, script: Script) -> None:
        """Queues a script."""
        self._waiting += [Script(data=script.data)] * script.times

    def take(self) -> Script | None:
        """The script for this call; None if the reply is composed as usual."""
        return self._waiting.pop(0) if self._waiting else None

    def clear(self) -> None:
        """Returns to composed replies."""
        self._waiting.clear()

    def __len__(self) -> int:
        return len(self._waiting)


def read_script(data: Any) -> Script:
    """A script from its JSON form. Raises `BadScriptError`."""
    if not isinstance(data, dict):
        raise BadScriptError("a script is an object")
    unknown = set(data) - _FIELDS
    if unknown:
        raise BadScriptError(f"unknown field: {', '.join(sorted(unknown))}")
    if sum(key in data for key in ("text", "tokens", "blocks")) != 1:
        raise BadScriptError("give exactly one of text, tokens and blocks")
    blocks = data.get("blocks", [])
    if not isinstance(blocks, list) or not all(isinstance(block, dict) and "type" in block for block in blocks):
        raise BadScriptError("blocks is a list of objects with a type")
    if not isinstance(data.get("text", ""), str) or not isinstance(data.get("tokens", 0), int):
        raise BadScriptError("text is a string, tokens a whole number")
    if not isinstance(data.get("usage", {}), dict):
        raise BadScriptError("usage is an object")
    rate = data.get("tokens_per_second")
    if rate is not None and (not isinstance(rate, int | float) or rate <= 0):
        raise BadScriptError("tokens_per_second is a number above 0")
    times = data.get("times", 1)
    if not isinstance(times, int) or not 0 <= times <= 10_000:
        raise BadScriptError("times is a whole number from 0 to 10000")
    return Script(data=data, times=times)


def _raw_blocks(data: dict[str, Any], facts: ModelFacts) -> list[dict[str, Any]]:
    if "blocks" in data:
        return list(data["blocks"])
    if "tokens" in data:
        return [{"type": "text", "text": _filler(int(data["tokens"] * facts.chars_per_token))}]
    return [{"type": "text", "text": data["text"]}] if data["text"] else []


def _filler(chars: int) -> str:
    parts: list[str] = []
    length = 0
    while length < chars:
        parts.append(_FILLER.format(number=len(parts) + 1))
        length += len(parts[-1])
    return "".join(parts)[:chars]


def _block(block: dict[str, Any], facts: ModelFacts, bound_to: str, new_id: str) -> ReplyBlock:
    kind = block["type"]
    if kind == "text":
        return text_block(str(block.get("text", "")), facts, citations=block.get("citations") or ())
    if kind == "thinking":
        text = str(block.get("thinking", ""))
        return ReplyBlock(
            kind="thinking",
            text=text,
            tokens=int(block.get("tokens", 0)) or text_tokens(text, facts.chars_per_token),
            data={"signature": block.get("signature") or signature_for(facts, bound_to)},
        )
    if kind == "tool_use":
        text = canonical_json(block.get("input") or {})
        return ReplyBlock(
            kind="tool_use",
            text=text,
            tokens=text_tokens(text, facts.chars_per_token) + text_tokens(block.get("name", ""), 2),
            data={"id": block.get("id") or new_id, "name": block.get("name", "")},
        )
    return ReplyBlock(kind="other", tokens=text_tokens(canonical_json(block), facts.chars_per_token), data=block)
