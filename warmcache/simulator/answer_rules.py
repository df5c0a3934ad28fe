"""Refusals about answers that come back in `messages`: server tools, citations, thinking, and who may come last."""

from typing import Any

from warmcache.core.catalog import ModelFacts
from warmcache.simulator.errors import invalid
from warmcache.simulator.prompt import as_blocks

_CALLS = ("server_tool_use", "mcp_tool_use")
_THINKING = ("thinking", "redacted_thinking")


def check_answers(messages: list[dict[str, Any]], facts: ModelFacts) -> None:
    """Refuses what the API refuses of an assistant's turns."""
    waiting: dict[str, str] = {}
    for n, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        blocks = as_blocks(message["content"])
        for m, block in enumerate(blocks):
            _check_citations(block, f"messages.{n}.content.{m}")
            _pair(block, waiting, f"messages.{n}.content.{m}")
        if n + 1 == len(messages):
            _check_last(message, blocks, facts)
        elif messages[n + 1]["role"] != "assistant":
            _check_ended(blocks, waiting, f"messages.{n}")


def _pair(block: dict[str, Any], waiting: dict[str, str], path: str) -> None:
    """Notes a call, or strikes it off at its result. The result of a client's tool is in a person's turn."""
    kind = block.get("type")
    if kind in _CALLS:
        waiting[block["id"]] = block["name"]
    elif "tool_use_id" in block and waiting.pop(block["tool_use_id"], None) is None:
        raise invalid(
            f"{path}: unexpected `tool_use_id` found in `{kind}` blocks: {block['tool_use_id']}. Each `{kind}` block "
            "must have a corresponding `server_tool_use` block before it."
        )


def _check_ended(blocks: list[dict[str, Any]], waiting: dict[str, str], path: str) -> None:
    """After this turn a person speaks. Calls may still wait only if the turn also calls the client's tools: then they
    are run once those have results."""
    if waiting and not any(block.get("type") == "tool_use" for block in blocks):
        id_, name = next(iter(waiting.items()))
        raise invalid(
            f"{path}: `{name}` tool use with id `{id_}` was found without a corresponding `{name}_tool_result` block"
        )
    if blocks and blocks[-1].get("type") in _THINKING:
        raise invalid(f"{path}: The final block in an assistant message cannot be `{blocks[-1]['type']}`.")


def _check_citations(block: dict[str, Any], path: str) -> None:
    for number, citation in enumerate(block.get("citations") or [] if block.get("type") == "text" else []):
        if "file_id" in citation:
            kind = citation.get("type")
            raise invalid(f"{path}.text.citations.{number}.{kind}.file_id: Extra inputs are not permitted")


def _check_last(message: dict[str, Any], blocks: list[dict[str, Any]], facts: ModelFacts) -> None:
    """An answer that paused may come last, to be continued; any other one is prefill."""
    if any(block.get("type") in _CALLS for block in blocks):
        return
    if not facts.allows_assistant_prefill:
        raise invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    content = message["content"]
    text = content if isinstance(content, str) else (content[-1].get("text") or "" if content else "")
    if text != text.rstrip():
        raise invalid("messages: final assistant content cannot end with trailing whitespace")
