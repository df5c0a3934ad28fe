"""Prompts of a recorded conversation for the prompt cache: positions with cumulative digests, our breakpoints.

The digest of a position identifies everything before it, so a prompt passes to the engine only its shared position and
the last ones, as many as a look-back reaches: none of its breakpoints can find the older ones.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from warmcache.core.catalog import ModelFacts
from warmcache.replay.traces import TracedConversation
from warmcache.simulator.engine import LOOK_BACK_POSITIONS
from warmcache.simulator.prompt import Level, Prompt, PromptBlock

PLACEHOLDER_TOKENS = 8
MESSAGE_END_TOKENS = 3


@dataclass(frozen=True, kw_only=True)
class TracedPrompt(Prompt):
    """A prompt whose cumulative digests are already known."""

    links: tuple[bytes, ...] = ()

    def chain(self, scope: str) -> tuple[bytes, ...]:
        """The digests as they were built; a trace has one workspace."""
        return self.links


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A point between two blocks. `tokens` counts from the start; `number` counts positions from the start."""

    link: bytes
    tokens: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The shared position and the last positions of one prompt."""

    positions: tuple[Position, ...]

    @property
    def tokens(self) -> int:
        return self.positions[-1].tokens


class ConversationPrompts:
    """All prompts of one conversation for one model: the real ones, and the possible warm-ups after each of them."""

    def __init__(self, conversation: TracedConversation, facts: ModelFacts, *, shared_link: bytes) -> None:
        self._facts = facts
        self._built: dict[tuple[int, bool, int, int], TracedPrompt] = {}
        self._blocks: dict[tuple[bytes, int], PromptBlock] = {}
        self.requests: list[Chain] = []
        self.histories: list[Chain] = []
        """Index n: what a warm-up after request n can cache."""
        self.kept: list[Position] = []
        """Index n: the last position that request n shares with the history before it."""
        self.opening = Chain(
            positions=(Position(link=shared_link, tokens=max(1, conversation.shared_tokens), number=0),)
        )
        self._lay_out(conversation)

    def _lay_out(self, conversation: TracedConversation) -> None:
        trail = list(self.opening.positions)
        name = conversation.conversation_id
        for index, request in enumerate(conversation.requests):
            while len(trail) > 1 and trail[-1].tokens > request.kept_tokens:
                trail.pop()
            if trail[-1].tokens >= request.prompt_tokens:  # not even the shared layer remains
                trail = [_follow(None, f"{name}:{index}:reset", max(1, request.prompt_tokens // 2))]
            self.kept.append(trail[-1])
            trail.append(_follow(trail[-1], f"{name}:{index}:turn", request.prompt_tokens))
            self.requests.append(_window(trail))
            if request.output_tokens:
                trail.append(_follow(trail[-1], f"{name}:{index}:reply", request.history_tokens))
            self.histories.append(_window(trail))

    def request(self, index: int, *, ttl_seconds: int, shared_ttl_seconds: int) -> TracedPrompt:
        """The real request; breakpoints after the shared layer, the history and the person's turn."""
        return self._prompt(index, False, ttl_seconds, shared_ttl_seconds)

    def warm_up(self, after: int, *, ttl_seconds: int, shared_ttl_seconds: int) -> TracedPrompt:
        """The warm-up that may come after request `after` (-1: before the first)."""
        return self._prompt(after, True, ttl_seconds, shared_ttl_seconds)

    def history(self, after: int) -> Chain:
        """What a warm-up after request `after` covers."""
        return self.histories[after] if after >= 0 else self.opening

    def _prompt(self, index: int, is_warm_up: bool, ttl_seconds: int, shared_ttl_seconds: int) -> TracedPrompt:
        key = (index, is_warm_up, ttl_seconds, shared_ttl_seconds)
        prompt = self._built.get(key)
        if prompt is None:
            chain = self.history(index) if is_warm_up else self.requests[index]
            prompt = self._built[key] = self._mark(chain, is_warm_up, ttl_seconds, shared_ttl_seconds)
        return prompt

    def _mark(self, chain: Chain, is_warm_up: bool, ttl_seconds: int, shared_ttl_seconds: int) -> TracedPrompt:
        """The API requires the longer TTL first: an hour at the end means an hour for the shared layer too."""
        last = len(chain.positions) - 1
        marks = {last: ttl_seconds}
        if not is_warm_up:
            marks.setdefault(last - 1, ttl_seconds)
        shared_ttl = max(shared_ttl_seconds, ttl_seconds)
        marks[0] = shared_ttl if last else max(shared_ttl_seconds, ttl_seconds)
        blocks = list(self._unmarked(chain))
        for n, ttl in marks.items():
            bare = blocks[n]
            blocks[n] = PromptBlock(digest=bare.digest, tokens=bare.tokens, level=bare.level, ttl_seconds=ttl)
        return TracedPrompt(
            facts=self._facts,
            blocks=tuple(blocks),
            suffix_tokens=PLACEHOLDER_TOKENS if is_warm_up else MESSAGE_END_TOKENS,
            links=tuple(position.link for position in chain.positions),
        )

    def _unmarked(self, chain: Chain) -> Iterator[PromptBlock]:
        """Most blocks are the same as in the previous prompt: they are made only once."""
        before = 0
        for n, position in enumerate(chain.positions):
            key = (position.link, before)
            block = self._blocks.get(key)
            if block is None:
                level = Level.MESSAGES if n else Level.SYSTEM
                block = PromptBlock(digest=position.link, tokens=position.tokens - before, level=level)
                self._blocks[key] = block
            yield block
            before = position.tokens


def shared_link(name: str) -> bytes:
    """The digest of a shared layer."""
    return hashlib.blake2b(name.encode(), digest_size=16).digest()


def _follow(before: Position | None, name: str, tokens: int) -> Position:
    start = before.link if before else b""
    link = hashlib.blake2b(start + name.encode(), digest_size=16).digest()
    return Position(link=link, tokens=tokens, number=before.number + 1 if before else 0)


def _window(trail: list[Position]) -> Chain:
    if len(trail) <= LOOK_BACK_POSITIONS + 1:
        return Chain(positions=tuple(trail))
    return Chain(positions=(trail[0], *trail[-LOOK_BACK_POSITIONS:]))
