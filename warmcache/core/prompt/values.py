"""The parts of a request, and what we know about its cacheable part. `core/prefix.py` has the rules."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from warmcache.core.estimates import NO_SIZE, Size
from warmcache.core.reasons import Reason
from warmcache.core.ttl import TtlChoice

Json = Mapping[str, Any]

Content = str | Sequence[Json]
"""A text, or a list of API content blocks. Their own `cache_control` is left out: breakpoints are placed here."""


class Layer(StrEnum):
    SHARED = "shared"
    CONVERSATION = "conversation"
    DRAFT = "draft"
    TURN = "turn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message of the history: `role` is `user` or `assistant`, `blocks` are a text or API content blocks."""

    role: Literal["user", "assistant"]
    blocks: Content


Message = Turn | Json
"""A turn, or a message as the SDK's `messages` has it: {"role": ..., "content": ...}."""

LastTurn = Content | Message
"""What a request ends with: the person's content, or the paused answer that is to be continued."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Everything that a conversation's next request contains before the person's own text.

    All of it may be written as the SDK takes it: `system` as a text or as blocks, `history` as its `messages`. Volatile
    things (date, user name) belong in the person's turn.
    """

    model: str
    system: Content = ()
    tools: Sequence[Json] = ()
    history: Sequence[Message] = ()
    draft: Content = ()
    shared_ttl: TtlChoice = "5m"
    """`auto` leaves the choice to what was learned. The default does not, so that a host pays twice the price of a
    write only where it says so; the chat's assistants say `auto`."""
    conversation_ttl: TtlChoice = "5m"
    """As `shared_ttl`."""
    thinking: Json | None = None
    effort: str | None = None
    output_format: Json | None = None
    tool_choice: Json | None = None
    speed: str | None = None
    betas: tuple[str, ...] = ()
    extra_body: Json | None = None
    """More members of the body, of warm-ups and requests alike. Any change counts as cold: who knows what they do?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A point between two blocks where an entry may end. `prefix_tokens` is estimated, from the start of the prompt."""

    prefix_hash: str
    prefix_tokens: int
    size: Size = NO_SIZE
    """What is in it, for better estimates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakpoint:
    """Where the provider may cut the prefix. `look_back` lists where it searches for an earlier entry, the nearest
    position first: the breakpoint itself. Behind an answer of many blocks, a further mark of this layer on the question
    lets it search from there on, too."""

    layer: Layer
    prefix_hash: str
    prefix_tokens: int
    ttl_seconds: int
    look_back: tuple[Position, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """The cacheable part of a request without its content: what decisions and the ledger need. Cheap to keep."""

    model: str
    breakpoints: tuple[Breakpoint, ...]
    obstacle: Reason | None = None
    """Why the API refuses `max_tokens: 0` for this prompt, as a skip reason; None if it does not."""

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
    """A Messages API body without `max_tokens` and `stream`, its beta headers, and its cacheable prefix.

    Joined, `pieces` are the body's bytes without the last brace. Most of them are shared with the prepared prompt and
    with other requests, so a request that is never sent costs no copy.
    """

    pieces: tuple[bytes | memoryview, ...]
    betas: tuple[str, ...]
    prefix: Prefix
    members: Json = field(default_factory=dict)
    """Members of the body that are no part of the prefix, such as the container of a paused answer."""
    timeout_seconds: float | None = None
    """The limit for this one, where it is not the settings'."""
    is_sendable: bool = True
    """False if the text contains half of a surrogate pair: Python can hold it, JSON in UTF-8 cannot."""

    @property
    def size_bytes(self) -> int:
        """Of the body, without the few members that the call adds."""
        return sum(map(len, self.pieces))

    def encoded(self, **options: Any) -> bytes:
        """The body as it is sent, with these members added at its end."""
        added = b"".join(b"," + _member(name, value) for name, value in {**self.members, **options}.items())
        return b"".join((*self.pieces, added, b"}"))

    @property
    def body(self) -> dict[str, Any]:
        """The body parsed from its bytes: for tests and tools, not for sending."""
        decoded: dict[str, Any] = json.loads(self.encoded())
        return decoded


def _member(name: str, value: Any) -> bytes:
    return json.dumps({name: value}, separators=(",", ":")).encode()[1:-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixKey:
    """The digest's key and the provider it applies to: base URL and a fingerprint of the API key (its workspace)."""

    secret: bytes
    upstream: str


def obstacle_to_prewarming(prompt: Prompt) -> Reason | None:
    """Why the API refuses this prompt with `max_tokens: 0`, or None.

    Whether the shared layer could be warmed without the refused parameter differs by model and is not published, so
    we do not guess: such a prompt is not warmed at all.
    """
    if prompt.output_format is not None:
        return Reason.STRUCTURED_OUTPUT
    if (prompt.thinking or {}).get("type") == "enabled":
        return Reason.MANUAL_THINKING
    if (prompt.tool_choice or {}).get("type") in {"any", "tool"}:
        return Reason.FORCED_TOOL_CHOICE
    return None
