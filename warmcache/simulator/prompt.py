"""Converts a validated request body into the ordered blocks that the prompt cache hashes.

The order is `tools`, `system`, `messages`. Each position has a digest of its content (without breakpoints), its
tokens and, at a breakpoint, a TTL. This module shares no code with the product's own prefix code, so that it means
something if the two agree.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from itertools import accumulate
from typing import Any

from warmcache.core.catalog import ModelFacts
from warmcache.simulator import tokens
from warmcache.simulator.tokenizers import RULE_OF_THUMB, CountText, counter

TTL_SECONDS = {"5m": 300, "1h": 3600}
_WEB_TOOLS = ("web_search_", "web_fetch_")
_THINKING_TYPES = ("thinking", "redacted_thinking")


class Level(IntEnum):
    """The part of the request a block belongs to; a change invalidates its own level and the later ones."""

    TOOLS = 0
    SYSTEM = 1
    MESSAGES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptBlock:
    """One position of the prompt. `digest` may be any bytes that identify the content."""

    digest: bytes
    tokens: int
    level: Level = Level.MESSAGES
    ttl_seconds: int | None = None
    """300 or 3600 if there is a breakpoint here."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A request as the prompt cache sees it. A trace replay builds it directly from blocks."""

    facts: ModelFacts
    blocks: tuple[PromptBlock, ...]
    speed: str = "standard"
    config: tuple[bytes, bytes, bytes] = (b"", b"", b"")
    """Parameters that are rendered at the start of the tools, the system and the messages level."""
    suffix_tokens: int = tokens.REQUEST_TOKENS

    @cached_property
    def prefix_tokens(self) -> tuple[int, ...]:
        """Tokens from the start up to and including each position."""
        return tuple(accumulate(block.tokens for block in self.blocks))

    @cached_property
    def total_tokens(self) -> int:
        """Tokens of the whole input."""
        return (self.prefix_tokens[-1] if self.blocks else 0) + self.suffix_tokens

    @cached_property
    def breakpoints(self) -> tuple[int, ...]:
        """Positions with a breakpoint, first to last."""
        return tuple(index for index, block in enumerate(self.blocks) if block.ttl_seconds is not None)

    def chain(self, scope: str) -> tuple[bytes, ...]:
        """The cumulative digest at each position, within one isolation scope (a workspace)."""
        start, *later = self.config
        digest = _digest("\0".join((scope, self.facts.model, self.speed)).encode() + b"\0" + start)
        level = Level.TOOLS
        links: list[bytes] = []
        for block in self.blocks:
            while level < block.level:
                digest = _digest(digest + later[level])
                level = Level(level + 1)
            digest = _digest(digest + block.digest)
            links.append(digest)
        return tuple(links)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One block of a request and its origin, before it is hashed."""

    path: str
    level: Level
    block: dict[str, Any]
    role: str = ""
    """The role, if this block opens a turn."""
    nested: Sequence[dict[str, Any]] = field(default_factory=tuple)
    """The `cache_control` objects inside a tool result."""

    @property
    def cache_control(self) -> dict[str, Any] | None:
        """The breakpoint of this position: its own, or the last one inside it."""
        own: dict[str, Any] | None = self.block.get("cache_control")
        return own or (self.nested[-1] if self.nested else None)


def pieces_of(body: dict[str, Any], facts: ModelFacts) -> list[Piece]:
    """The blocks of a validated body in the order in which the cache hashes them."""
    tools = body.get("tools") or []
    loaded = [(n, tool) for n, tool in enumerate(tools) if not tool.get("defer_loading")]
    web = [(n, tool) for n, tool in loaded if _is_web_tool(tool)]
    plain = [(n, tool) for n, tool in loaded if not _is_web_tool(tool)]
    pieces = [Piece(path=f"tools.{n}", level=Level.TOOLS, block=tool) for n, tool in plain]
    # Switching web search on or off leaves the tools level valid, so its tools open the system level.
    pieces += [Piece(path=f"tools.{n}", level=Level.SYSTEM, block=tool) for n, tool in web]
    pieces += [
        Piece(path=f"system.{n}", level=Level.SYSTEM, block=block)
        for n, block in enumerate(as_blocks(body.get("system") or []))
    ]
    pieces += _message_pieces(body["messages"], facts)
    return pieces


def read_prompt(
    body: dict[str, Any],
    facts: ModelFacts,
    *,
    betas: Iterable[str] = (),
    renders_config_first: bool = False,
    tokenizer: str = RULE_OF_THUMB,
) -> Prompt:
    """The prompt of a validated body.

    `renders_config_first`: whether this model renders thinking and effort ahead of the tools (which models do is not
    published), so that changing them invalidates the whole prefix and not only the messages.
    """
    pieces = pieces_of(body, facts)
    ttls = _ttls(body, pieces)
    count_text = counter(tokenizer, facts.chars_per_token)
    blocks = [_block(piece, ttl, count_text) for piece, ttl in zip(pieces, ttls, strict=True)]
    if body.get("tools") and blocks:
        first = blocks[0]
        blocks[0] = PromptBlock(
            digest=first.digest,
            tokens=first.tokens + facts.tool_prompt_tokens,
            level=first.level,
            ttl_seconds=first.ttl_seconds,
        )
    return Prompt(
        facts=facts,
        blocks=tuple(blocks),
        speed=body.get("speed") or "standard",
        config=_config(body, facts, pieces, sorted(betas), renders_config_first),
    )


def as_blocks(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Content as blocks: a string is one text block."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content


def thinking_mode(body: dict[str, Any], facts: ModelFacts) -> str:
    """The value of `thinking.type` in force; the model's default if it is omitted."""
    thinking = body.get("thinking") or {}
    return str(thinking.get("type") or facts.default_thinking)


def effort_of(body: dict[str, Any], facts: ModelFacts) -> str:
    """The effort in force; the model's default if it is omitted."""
    return str((body.get("output_config") or {}).get("effort") or facts.default_effort)


def can_carry_breakpoint(block: dict[str, Any]) -> bool:
    """Whether the automatic breakpoint may stand on this block."""
    kind = block.get("type")
    return kind not in _THINKING_TYPES and not (kind == "text" and not block.get("text"))


def _message_pieces(messages: list[dict[str, Any]], facts: ModelFacts) -> Iterator[Piece]:
    stripped_before = -1 if facts.keeps_past_thinking else _last_person_turn(messages)
    role = ""
    for n, message in enumerate(messages):
        for m, block in enumerate(as_blocks(message["content"])):
            if n < stripped_before and block.get("type") in _THINKING_TYPES:
                continue
            opens_turn = message["role"] != role
            role = message["role"]
            yield Piece(
                path=f"messages.{n}.content.{m}",
                level=Level.MESSAGES,
                block=block,
                role=role if opens_turn else "",
                nested=_nested_breakpoints(block),
            )


def _last_person_turn(messages: list[dict[str, Any]]) -> int:
    for n in range(len(messages) - 1, -1, -1):
        message = messages[n]
        if message["role"] == "user" and any(
            block.get("type") != "tool_result" for block in as_blocks(message["content"])
        ):
            return n
    return -1


def _nested_breakpoints(block: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    if block.get("type") != "tool_result" or not isinstance(block.get("content"), list):
        return ()
    return tuple(part["cache_control"] for part in block["content"] if part.get("cache_control"))


def _ttls(body: dict[str, Any], pieces: list[Piece]) -> list[int | None]:
    ttls = [_ttl(piece.cache_control) for piece in pieces]
    automatic = _ttl(body.get("cache_control"))
    if automatic is not None:
        for index in range(len(pieces) - 1, -1, -1):
            if can_carry_breakpoint(pieces[index].block):
                ttls[index] = ttls[index] or automatic
                break
    if any(ttls):
        for index, piece in enumerate(pieces):
            if _is_server_tool_result(piece.block):
                # The API places a 5-minute breakpoint of its own on each of these.
                ttls[index] = ttls[index] or TTL_SECONDS["5m"]
    return ttls


def _ttl(cache_control: dict[str, Any] | None) -> int | None:
    return TTL_SECONDS[cache_control.get("ttl") or "5m"] if cache_control else None


def _block(piece: Piece, ttl_seconds: int | None, count_text: CountText) -> PromptBlock:
    content = _content(piece.block)
    count = tokens.block_tokens(content, count_text)
    if piece.role:
        count += tokens.TURN_TOKENS
    text = f"{piece.role}\n{tokens.canonical_json(content)}"
    return PromptBlock(digest=_digest(text.encode()), tokens=count, level=piece.level, ttl_seconds=ttl_seconds)


def _content(block: dict[str, Any]) -> dict[str, Any]:
    """A block without breakpoints and empty fields: its own keys sorted, nested keys in the order sent."""
    content = {key: block[key] for key in sorted(block) if key != "cache_control" and block[key] is not None}
    if content.get("type") == "tool_result" and "content" in content:
        content["content"] = [_content(part) for part in as_blocks(content["content"])]
    return content


def _config(
    body: dict[str, Any],
    facts: ModelFacts,
    pieces: list[Piece],
    betas: list[str],
    renders_config_first: bool,
) -> tuple[bytes, bytes, bytes]:
    output = body.get("output_config") or {}
    thinking = body.get("thinking") or {}
    effort = [thinking_mode(body, facts), thinking.get("budget_tokens"), effort_of(body, facts)]
    blocks = [piece.block for piece in pieces if piece.level is Level.MESSAGES]
    start = [betas, output.get("format"), output.get("task_budget"), effort if renders_config_first else None]
    system = [any(_has_citations(block) for block in blocks)]
    messages = [
        _tool_choice(body),
        any(_has_image(block) for block in blocks),
        None if renders_config_first else effort,
    ]
    parts = [tokens.canonical_json(part).encode() for part in (start, system, messages)]
    return parts[0], parts[1], parts[2]


def _tool_choice(body: dict[str, Any]) -> list[Any]:
    choice = body.get("tool_choice") or {}
    return [choice.get("type") or "auto", choice.get("name"), bool(choice.get("disable_parallel_tool_use"))]


def _has_image(block: dict[str, Any]) -> bool:
    if block.get("type") == "tool_result" and isinstance(block.get("content"), list):
        return any(_has_image(part) for part in block["content"])
    return block.get("type") == "image"


def _has_citations(block: dict[str, Any]) -> bool:
    return block.get("type") == "document" and bool((block.get("citations") or {}).get("enabled"))


def _is_web_tool(tool: dict[str, Any]) -> bool:
    return str(tool.get("type") or "").startswith(_WEB_TOOLS)


def _is_server_tool_result(block: dict[str, Any]) -> bool:
    kind = str(block.get("type") or "")
    return kind.endswith("_tool_result") and kind != "tool_result"


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
