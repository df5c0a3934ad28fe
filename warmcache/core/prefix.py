"""From a conversation to a request: the ONE place that lays out blocks, breakpoints and hashes.

A warm-up and the real request after it are built by the same `build_request`, so that warm bytes equal sent
bytes by construction. Four layers, each shared by fewer requests than the one before:

    shared         tools, system blocks           everybody who uses the assistant
    conversation   history                        one conversation
    draft          attachments of the next turn   one draft
    turn           the person's own text          one request; marked so that the next warm-up reads it

A layer's `prefix_hash` is a keyed digest over all bytes up to its breakpoint and over everything else that
decides whether the provider's cache entry matches. Source of the rules: Anthropic's page on prompt caching.
"""

import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from warmcache.core.catalog import facts_for
from warmcache.core.estimates import block_size
from warmcache.core.reasons import Reason
from warmcache.core.ttl import TTL_SECONDS, Ttl, TtlChoice

Json = Mapping[str, Any]

PLACEHOLDER_TEXT = "warmup"
"""The user turn of a warm-up. It comes after the last breakpoint, so it is in no cache entry."""

LOOK_BACK_POSITIONS = 20
"""How many block positions before a breakpoint, itself included, the provider searches for an earlier entry."""

TOKENS_PER_REQUEST = 3
TOKENS_PER_TURN = 4


class Layer(StrEnum):
    SHARED = "shared"
    CONVERSATION = "conversation"
    DRAFT = "draft"
    TURN = "turn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message of the history: `role` is `user` or `assistant`, `blocks` are API content blocks."""

    role: Literal["user", "assistant"]
    blocks: tuple[Json, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """All that a conversation's next request holds before the person's own text.

    `system` and `draft` are API content blocks, `tools` tool definitions, none of them with `cache_control`: the
    breakpoints are placed here. Volatile things (date, user name) belong into the person's turn.
    """

    model: str
    system: tuple[Json, ...] = ()
    tools: tuple[Json, ...] = ()
    history: tuple[Turn, ...] = ()
    draft: tuple[Json, ...] = ()
    shared_ttl: TtlChoice = "5m"
    conversation_ttl: TtlChoice = "5m"
    thinking: Json | None = None
    effort: str | None = None
    output_format: Json | None = None
    tool_choice: Json | None = None
    speed: str | None = None
    betas: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A place between two blocks where an entry may stand. `prefix_tokens` is estimated, from the very start."""

    prefix_hash: str
    prefix_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakpoint:
    """Where the provider may cut the prefix. `look_back` is nearest first and begins with the breakpoint itself."""

    layer: Layer
    prefix_hash: str
    prefix_tokens: int
    ttl_seconds: int
    look_back: tuple[Position, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """The cacheable part of a request, without its content: what decisions and the ledger need. Cheap to keep."""

    model: str
    breakpoints: tuple[Breakpoint, ...]
    obstacle: Reason | None = None
    """Why the API refuses `max_tokens: 0` for this prompt, as a skip reason; None where it does not."""

    @property
    def deepest(self) -> Breakpoint | None:
        return self.breakpoints[-1] if self.breakpoints else None

    @property
    def prefix_tokens(self) -> int:
        return self.breakpoints[-1].prefix_tokens if self.breakpoints else 0

    @property
    def hashes(self) -> tuple[str, ...]:
        """Every position where an entry would serve this prefix, each once."""
        return tuple({p.prefix_hash: None for b in self.breakpoints for p in b.look_back})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A Messages API body without `max_tokens` and `stream`, its beta headers, and what of it can be cached."""

    body: dict[str, Any]
    betas: tuple[str, ...]
    prefix: Prefix


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixKey:
    """The digest's key and the provider it speaks of: base URL and a fingerprint of the API key (its workspace)."""

    secret: bytes
    upstream: str


def build_request(prompt: Prompt, turn: Sequence[Json] | None, key: PrefixKey) -> Request:
    """The request for `prompt` followed by the person's `turn` (API content blocks); None makes the warm-up.

    Both have the same body up to the last shared breakpoint. At most four blocks carry `cache_control`.
    """
    layout = _Layout(prompt, key)
    messages = [*(block for past in prompt.history for block in past.blocks), *prompt.draft, *(turn or ())]
    layout.add_level(prompt.tools, "tools")
    layout.begin_system(messages)
    layout.add_level(prompt.system, "system")
    layout.mark(Layer.SHARED, _shared_ttl(prompt))
    layout.begin_messages(messages)
    for role, blocks in _merged(prompt.history):
        layout.add_turn(role, blocks)
    conversation_ttl: Ttl = "1h" if prompt.conversation_ttl == "1h" else "5m"
    layout.mark(Layer.CONVERSATION, conversation_ttl)
    layout.add_turn("user", prompt.draft)
    layout.mark(Layer.DRAFT, conversation_ttl)
    if turn is None:
        layout.add_turn("user", ({"text": PLACEHOLDER_TEXT, "type": "text"},))
    else:
        layout.add_turn("user", turn)
        layout.mark(Layer.TURN, conversation_ttl)
    return Request(body=layout.body(), betas=prompt.betas, prefix=layout.prefix())


def _shared_ttl(prompt: Prompt) -> Ttl:
    """The API refuses a longer TTL after a shorter one, so the shared layer lives as long as those behind it.

    Decided without looking at which of them are there: a new chat's warm-up has no layer behind, its reply has.
    """
    return "1h" if "1h" in (prompt.shared_ttl, prompt.conversation_ttl) else "5m"


def canonical_bytes(value: Any) -> bytes:
    """One spelling of a JSON value: keys sorted, no spaces, UTF-8. Requests are sent in the same key order."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def obstacle_to_prewarming(prompt: Prompt) -> Reason | None:
    """Why the API refuses this prompt with `max_tokens: 0`, or None.

    Whether the shared layer could be warmed without the refused parameter differs by model and is not published, so
    nothing is guessed: such a prompt is not warmed at all.
    """
    if prompt.output_format is not None:
        return Reason.STRUCTURED_OUTPUT
    if (prompt.thinking or {}).get("type") == "enabled":
        return Reason.MANUAL_THINKING
    if (prompt.tool_choice or {}).get("type") in {"any", "tool"}:
        return Reason.FORCED_TOOL_CHOICE
    return None


def _merged(history: Sequence[Turn]) -> Iterator[tuple[str, list[Json]]]:
    """The API merges neighbours of one role (a stopped reply leaves two user turns), so we merge them too."""
    role: str | None = None
    blocks: list[Json] = []
    for turn in history:
        if turn.role != role and blocks:
            yield str(role), blocks
            blocks = []
        role = turn.role
        blocks.extend(turn.blocks)
    if blocks:
        yield str(role), blocks


def _ordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _ordered(value[name]) for name in sorted(value)}
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    return value


def _can_carry_breakpoint(block: Json) -> bool:
    if block.get("type") in {"thinking", "redacted_thinking"}:
        return False
    return block.get("type") != "text" or bool(str(block.get("text", "")).strip())


def _is_image(block: Json) -> bool:
    if block.get("type") == "tool_result" and isinstance(block.get("content"), list | tuple):
        return any(_is_image(part) for part in block["content"])
    return block.get("type") == "image"


def _is_cited_document(block: Json) -> bool:
    return block.get("type") == "document" and bool((block.get("citations") or {}).get("enabled"))


@dataclass(slots=True)
class _Layout:
    """Collects blocks in the order in which the provider hashes them: tools, system, messages."""

    prompt: Prompt
    key: PrefixKey
    _tools: list[dict[str, Any]] = field(default_factory=list)
    _system: list[dict[str, Any]] = field(default_factory=list)
    _messages: list[dict[str, Any]] = field(default_factory=list)
    _positions: list[Position] = field(default_factory=list)
    _breakpoints: list[tuple[Layer, Ttl, int, dict[str, Any]]] = field(default_factory=list)
    _markable: tuple[int, dict[str, Any]] | None = None
    _digest: bytes = b""
    _characters: int = 0
    _fixed_tokens: int = TOKENS_PER_REQUEST
    """What is not text: scaffolding, pictures, pages."""

    def __post_init__(self) -> None:
        p = self.prompt
        # Which models render thinking and effort ahead of the tools is not published: any change counts as cold.
        identity = [
            self.key.upstream,
            p.model,
            sorted(p.betas),
            p.thinking,
            p.effort,
            p.speed,
            p.output_format,
        ]
        self._digest = hmac.digest(self.key.secret, canonical_bytes(identity), "sha256")
        if p.tools:
            self._fixed_tokens += facts_for(p.model).tool_prompt_tokens

    def add_level(self, blocks: Sequence[Json], level: Literal["tools", "system"]) -> None:
        for block in blocks:
            ordered = self._add(level, block)
            (self._tools if level == "tools" else self._system).append(ordered)

    def begin_system(self, messages: Sequence[Json]) -> None:
        """Citations, switched on by any document of the messages, invalidate the system blocks, not the tools."""
        self._chain(canonical_bytes(["system", any(_is_cited_document(block) for block in messages)]))

    def begin_messages(self, messages: Sequence[Json]) -> None:
        """`tool_choice` and the presence of images invalidate the messages, not the system blocks before them."""
        has_images = any(_is_image(block) for block in messages)
        self._chain(canonical_bytes(["messages", self.prompt.tool_choice, has_images]))

    def add_turn(self, role: str, blocks: Sequence[Json]) -> None:
        if not blocks:
            return
        if not self._messages or self._messages[-1]["role"] != role:
            self._messages.append({"role": role, "content": []})
            self._fixed_tokens += TOKENS_PER_TURN
        self._messages[-1]["content"].extend(self._add(role, block) for block in blocks)

    def mark(self, layer: Layer, ttl: Ttl) -> None:
        """Puts a breakpoint on the last block that can carry one, unless an earlier layer has it already."""
        if self._markable is None or (self._breakpoints and self._breakpoints[-1][2] == self._markable[0]):
            return
        position, block = self._markable
        self._breakpoints.append((layer, ttl, position, block))

    def body(self) -> dict[str, Any]:
        for _, ttl, _, block in self._breakpoints:
            block["cache_control"] = {"type": "ephemeral", "ttl": ttl}
        p = self.prompt
        output_config = {"effort": p.effort, "format": p.output_format}
        optional = {
            "tools": self._tools,
            "system": self._system,
            "thinking": _ordered(p.thinking),
            "output_config": {name: value for name, value in output_config.items() if value},
            "tool_choice": _ordered(p.tool_choice),
            "speed": p.speed,
        }
        return {
            "model": p.model,
            **{name: value for name, value in optional.items() if value},
            "messages": self._messages,
        }

    def prefix(self) -> Prefix:
        breakpoints = tuple(
            Breakpoint(
                layer=layer,
                prefix_hash=self._positions[position].prefix_hash,
                prefix_tokens=self._positions[position].prefix_tokens,
                ttl_seconds=TTL_SECONDS[ttl],
                look_back=tuple(reversed(self._positions[max(0, position + 1 - LOOK_BACK_POSITIONS) : position + 1])),
            )
            for layer, ttl, position, _ in self._breakpoints
        )
        return Prefix(model=self.prompt.model, breakpoints=breakpoints, obstacle=obstacle_to_prewarming(self.prompt))

    def _add(self, level: str, block: Json) -> dict[str, Any]:
        ordered: dict[str, Any] = _ordered(block)
        self._chain(level.encode() + b"\0" + canonical_bytes(ordered))
        size = block_size(ordered)
        self._characters += size.characters
        self._fixed_tokens += size.tokens
        tokens = int(self._characters / facts_for(self.prompt.model).chars_per_token) + self._fixed_tokens
        self._positions.append(Position(prefix_hash=self._digest.hex(), prefix_tokens=tokens))
        if _can_carry_breakpoint(ordered):
            self._markable = (len(self._positions) - 1, ordered)
        return ordered

    def _chain(self, data: bytes) -> None:
        self._digest = hmac.digest(self.key.secret, self._digest + data, "sha256")
