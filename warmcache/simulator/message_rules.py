"""Refusals about `messages`: roles, blocks, tool results and their order."""

import base64
import binascii
import re
from typing import Any

from warmcache.core.catalog import ModelFacts
from warmcache.simulator.answer_rules import check_answers
from warmcache.simulator.breakpoint_rules import check_cache_control, check_text
from warmcache.simulator.errors import invalid

MAX_MESSAGES = 100_000
NEW_VERSION = "2026-10-21"
_IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_NOT_AN_OBJECT = "Input should be a valid dictionary or object to extract fields from"
_SOURCES = {
    "image": ("base64", "url", "file"),
    "document": ("base64", "text", "content", "url", "file"),
}
_TOOL_ID = re.compile(r"^[a-zA-Z0-9_-]+$")


def check_messages(messages: Any, facts: ModelFacts, version: str) -> None:
    """Refuses what the API refuses, with its wording where that is known."""
    if not isinstance(messages, list):
        raise invalid("messages: Input should be a valid list")
    if not messages:
        raise invalid("messages: at least one message is required")
    if len(messages) > MAX_MESSAGES:
        raise invalid(f"messages: a request may have at most {MAX_MESSAGES} messages")
    for n, message in enumerate(messages):
        _check_message(message, n, facts, version, is_last=n == len(messages) - 1)
    if messages[0]["role"] not in ("user", "assistant"):
        raise invalid('messages: first message must use the "user" role')
    _check_tool_results(messages)
    check_answers(messages, facts)


def _check_message(message: Any, n: int, facts: ModelFacts, version: str, *, is_last: bool) -> None:
    path = f"messages.{n}"
    if not isinstance(message, dict):
        raise invalid(f"{path}: {_NOT_AN_OBJECT}")
    for key in ("role", "content"):
        if key not in message:
            raise invalid(f"{path}.{key}: Field required")
    for key in message:
        if key not in ("role", "content"):
            raise invalid(f"{path}.{key}: Extra inputs are not permitted")
    role = message["role"]
    if role == "system" and not facts.allows_system_role:
        raise invalid("role 'system' is not supported on this model")
    if role not in ("user", "assistant", "system"):
        raise invalid(f"{path}.role: Input should be 'user', 'assistant' or 'system'")
    _check_content(message["content"], path, role, version, may_be_empty=is_last and role == "assistant")


def _check_content(content: Any, path: str, role: str, version: str, *, may_be_empty: bool) -> None:
    if not isinstance(content, str | list):
        raise invalid(f"{path}.content: Input should be a valid string or a list of content blocks")
    if not content and not may_be_empty:
        raise invalid(
            f"{path}: all messages must have non-empty content except for the optional final assistant message"
        )
    if isinstance(content, str):
        if content and not content.strip():
            raise invalid("messages: text content blocks must contain non-whitespace text")
        return
    # A blank text is taken beside anything else, such as the tool call that it introduces; an empty one never is.
    may_be_blank = not all(_is_blank_text(block) for block in content)
    for m, block in enumerate(content):
        check_block(block, f"{path}.content.{m}", role, version, may_be_blank=may_be_blank)


def _is_blank_text(block: Any) -> bool:
    return isinstance(block, dict) and block.get("type") == "text" and not str(block.get("text") or "").strip()


def check_block(block: Any, path: str, role: str, version: str, *, may_be_blank: bool = False) -> None:
    """Refuses a content block of the wrong shape or in the wrong position."""
    if not isinstance(block, dict):
        raise invalid(f"{path}: {_NOT_AN_OBJECT}")
    kind = block.get("type")
    if not isinstance(kind, str):
        raise invalid(f"{path}.type: Field required")
    if kind in ("thinking", "redacted_thinking"):
        _check_thinking(block, path, kind, role)
        return
    check_cache_control(block.get("cache_control"), f"{path}.cache_control")
    if kind == "text":
        marked = bool(block.get("cache_control"))
        check_text(block.get("text"), path, marked=marked, where="messages", may_be_blank=may_be_blank)
        if block.get("citations") and role == "user" and version == NEW_VERSION:
            raise invalid(f"{path}.text.citations: citations are not permitted on text blocks in user messages")
    elif kind in _SOURCES:
        _check_source(block, path, kind, role, version)
    elif kind == "tool_use":
        _check_tool_use(block, path, role)
    elif kind == "tool_result":
        _check_tool_result(block, path, role, version)


def _check_thinking(block: dict[str, Any], path: str, kind: str, role: str) -> None:
    if role != "assistant":
        raise invalid(f"{path}: `{kind}` blocks are only permitted in assistant messages")
    if "cache_control" in block:
        raise invalid(f"{path}.{kind}.cache_control: Extra inputs are not permitted")
    for key in ("thinking", "signature") if kind == "thinking" else ("data",):
        if not isinstance(block.get(key), str):
            raise invalid(f"{path}.{kind}.{key}: Field required")


def _check_source(block: dict[str, Any], path: str, kind: str, role: str, version: str) -> None:
    if kind == "document" and role == "assistant" and version == NEW_VERSION:
        raise invalid(f"{path}: `document` blocks are not permitted directly in assistant messages")
    source = block.get("source")
    if not isinstance(source, dict):
        raise invalid(f"{path}.{kind}.source: Field required")
    source_type = source.get("type")
    if source_type not in _SOURCES[kind]:
        names = ", ".join(f"'{name}'" for name in _SOURCES[kind])
        raise invalid(f"{path}.{kind}.source.type: Input should be one of {names}")
    if source_type == "base64":
        _check_base64(source, f"{path}.{kind}.source", kind)
    elif source_type == "text":
        _check_plain_text(source, f"{path}.{kind}.source")
    elif source_type == "content":
        _check_parts(source.get("content"), f"{path}.{kind}.source.content", version)


def _check_base64(source: dict[str, Any], path: str, kind: str) -> None:
    allowed = _IMAGE_TYPES if kind == "image" else ("application/pdf",)
    if source.get("media_type") not in allowed:
        names = ", ".join(f"'{name}'" for name in allowed)
        raise invalid(f"{path}.base64.media_type: Input should be {names}")
    data = source.get("data")
    try:
        decoded = base64.b64decode(data, validate=True) if isinstance(data, str) else b""
    except (binascii.Error, ValueError):
        decoded = b""
    if not decoded:
        raise invalid(f"{path}.base64.data: must be non-empty, valid base64")


def _check_plain_text(source: dict[str, Any], path: str) -> None:
    if source.get("media_type") != "text/plain":
        raise invalid(f"{path}.text.media_type: Input should be 'text/plain'")
    if not isinstance(source.get("data"), str) or not source["data"].strip():
        raise invalid(f"{path}.text.data: must contain non-whitespace text")


def _check_parts(content: Any, path: str, version: str) -> None:
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise invalid(f"{path}: Input should be a valid string or a list of content blocks")
    for n, part in enumerate(content):
        check_block(part, f"{path}.{n}", "user", version)


def _check_tool_use(block: dict[str, Any], path: str, role: str) -> None:
    if role != "assistant":
        raise invalid(f"{path}: `tool_use` blocks are only permitted in assistant messages")
    for key in ("id", "name"):
        if not isinstance(block.get(key), str):
            raise invalid(f"{path}.tool_use.{key}: Field required")
    if not _TOOL_ID.match(block["id"]):
        raise invalid(f"{path}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if not isinstance(block.get("input"), dict):
        raise invalid(f"{path}.tool_use.input: Input should be a valid dictionary")


def _check_tool_result(block: dict[str, Any], path: str, role: str, version: str) -> None:
    if role != "user":
        raise invalid(f"{path}: `tool_result` blocks are only permitted in user messages")
    if not isinstance(block.get("tool_use_id"), str):
        raise invalid(f"{path}.tool_result.tool_use_id: Field required")
    if block.get("content") is not None:
        _check_parts(block["content"], f"{path}.tool_result.content", version)


def _check_tool_results(messages: list[dict[str, Any]]) -> None:
    open_ids: list[str] = []
    opened_at = 0
    role = ""
    for n, message in enumerate(messages):
        if message["role"] != role and role == "user":
            _check_answered(open_ids, opened_at)
            open_ids = []
        role = message["role"]
        opened_at = n if role == "assistant" else opened_at
        for m, block in enumerate(message["content"] if isinstance(message["content"], list) else []):
            if block["type"] == "tool_use":
                open_ids.append(block["id"])
            elif block["type"] == "tool_result":
                if block["tool_use_id"] not in open_ids:
                    raise invalid(
                        f"messages.{n}.content.{m}: unexpected `tool_use_id` found in `tool_result` blocks: "
                        f"{block['tool_use_id']}. Each `tool_result` block must have a corresponding "
                        "`tool_use` block in the previous message."
                    )
                open_ids.remove(block["tool_use_id"])
    _check_answered(open_ids, opened_at)


def _check_answered(open_ids: list[str], opened_at: int) -> None:
    if open_ids:
        raise invalid(
            f"messages.{opened_at}: `tool_use` ids were found without `tool_result` blocks immediately "
            f"after: {', '.join(open_ids)}. Each `tool_use` block must have a corresponding `tool_result` "
            "block in the next message."
        )
