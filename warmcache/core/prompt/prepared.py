"""A prompt that is encoded and hashed once and grows at its end: the next request pays only for what is new."""

import hmac
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from warmcache.core.catalog import facts_for
from warmcache.core.estimates import Size, known_tokens, prior_tokens, sum_of, tokens_of
from warmcache.core.prompt.forms import check_settings
from warmcache.core.prompt.passages import Passage, PassageWriter, canonical_bytes, passage_after, shared_passage
from warmcache.core.prompt.values import (
    Breakpoint,
    Content,
    LastTurn,
    Layer,
    Message,
    Position,
    Prefix,
    PrefixKey,
    Prompt,
    Request,
    Turn,
    obstacle_to_prewarming,
)
from warmcache.core.ttl import TTL_SECONDS, Ttl

PLACEHOLDER_TEXT = "warmup"
"""The user turn of a warm-up. It comes after the last breakpoint, so it is in no cache entry."""

LOOK_BACK_POSITIONS = 20
"""How many block positions before a breakpoint, including its own, the provider searches for an earlier entry."""

TOKENS_PER_REQUEST = 3

_CACHE_CONTROL: dict[Ttl, bytes] = {
    ttl: f',"cache_control":{{"type":"ephemeral","ttl":"{ttl}"}}}}'.encode() for ttl in TTL_SECONDS
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chain:
    """The running digest after a block, the size up to there, and the last positions, newest last."""

    digest: bytes
    size: Size = known_tokens(TOKENS_PER_REQUEST)
    recent: tuple[Position, ...] = ()
    look_back: tuple[Position, ...] = ()
    """Starts at this layer's block with the breakpoint, nearest first; empty if no block carries one."""
    asked: tuple[Position, ...] = ()
    """The same from the last block that the person said. It outlives the layer: further answers may follow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Switches:
    """Switches that any message block can set for whole levels: citations invalidate the system blocks, not the tools;
    images (and `tool_choice`) invalidate the messages, not the system blocks before them."""

    has_citations: bool
    has_images: bool


_NO_SWITCHES = _Switches(has_citations=False, has_images=False)


class _Part:
    """One layer of a prepared prompt, and its digests for each requested state of the switches."""

    __slots__ = ("chains", "passage")

    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        self.chains: dict[_Switches, _Chain] = {}

    def chain(self, switches: _Switches, make: Callable[[_Switches], _Chain]) -> _Chain:
        found = self.chains.get(switches)
        if found is None:
            found = self.chains[switches] = make(switches)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedPrompt:
    """A prompt's bytes and digests, kept so that the next request pays only for what is new. Immutable.

    Made by `prepare`. Prompts that grow from it (`with_turns`, `with_draft`) share its parts: the layer of tools and
    system blocks exists once for all conversations that grow from one prepared assistant.
    """

    settings: Prompt
    """The prompt without its content: no tools, system blocks, history or draft."""
    key: PrefixKey
    shared: _Part = field(repr=False)
    history: _Part = field(repr=False)
    draft: _Part = field(repr=False)

    @property
    def size_bytes(self) -> int:
        """Approximate memory of history and draft, without the shared layer: see `shared_size_bytes`."""
        return self.history.passage.size_bytes + self.draft.passage.size_bytes

    @property
    def shared_size_bytes(self) -> int:
        return self.shared.passage.size_bytes

    @property
    def last_positions(self) -> tuple[Position, ...]:
        """The ends of its last blocks, nearest first: what a bill may have been for. Hashes what was not hashed yet,
        once; empty for a prompt without content."""
        switches = _switches(self.history.passage, self.draft.passage)
        return tuple(reversed(self.draft.chain(switches, self._draft_chain).recent))

    @property
    def shared_hash(self) -> str:
        """A digest of the shared layer and of all that decides how a provider reads it, whatever follows. An answer's
        signatures and encrypted results are valid only where this is the same as when it was given."""
        return self.shared.chain(_NO_SWITCHES, self._shared_chain).digest.hex()

    def with_turns(self, *turns: Message | None) -> "PreparedPrompt":
        """The prompt with these turns after its history, and without a draft: attachments are in the turn that sent
        them. None, an answer of which nothing can be sent, adds nothing. Encodes and hashes only what is new."""
        writer = PassageWriter(self.history.passage)
        for turn in turns:
            if turn is not None:
                writer.add_turn(turn)
        history = _Part(writer.finish())
        switches = _switches(history.passage)
        known = self.history.chains.get(switches)
        if known is not None:
            first = len(self.history.passage.blocks)
            history.chains[switches] = self._walk(known, history.passage, first=first)
        grown = replace(self, history=history, draft=_Part(Passage(role=history.passage.role)))
        history.chain(switches, grown._history_chain)
        return grown

    def with_salt(self, salt: str) -> "PreparedPrompt":
        """The prompt with this text as the first block behind the shared layer, before there is a history.

        A random one per person keeps people from finding by warmth, or by a bill, what somebody else has sent: the
        layers behind it are in no entry that another person's bytes could match. It carries no breakpoint itself.
        """
        if self.history.passage.blocks:
            raise ValueError("A salt stands before the history; this prompt has one.")
        writer = PassageWriter(Passage())
        writer.add_turn(Turn(role="user", blocks=salt), may_be_marked=False)
        history = writer.finish()
        return replace(self, history=_Part(history), draft=_Part(Passage(role=history.role)))

    def with_draft(self, blocks: Content) -> "PreparedPrompt":
        """The prompt with these API content blocks as its complete draft."""
        draft = _Part(passage_after(self.history.passage, blocks))
        drafted = replace(self, draft=draft)
        draft.chain(_switches(self.history.passage, draft.passage), drafted._draft_chain)
        return drafted

    def with_key(self, key: PrefixKey) -> "PreparedPrompt":
        """The same bytes for another provider or another secret: everything is hashed again."""
        shared, history, draft = (_Part(part.passage) for part in (self.shared, self.history, self.draft))
        return replace(self, key=key, shared=shared, history=history, draft=draft)

    def _shared_chain(self, switches: _Switches) -> _Chain:
        settings, passage = self.settings, self.shared.passage
        # It is not published which models render thinking and effort before the tools: any change counts as cold.
        identity = [
            self.key.upstream,
            settings.model,
            sorted(settings.betas),
            settings.thinking,
            settings.effort,
            settings.speed,
            settings.output_format,
            *([settings.extra_body] if settings.extra_body else []),
        ]
        tools = sum(block.level == "tools" for block in passage.blocks)
        chain = _Chain(digest=hmac.digest(self.key.secret, canonical_bytes(identity), "sha256"))
        if tools:
            hidden = known_tokens(facts_for(settings.model).tool_prompt_tokens)
            chain = replace(chain, size=sum_of(chain.size, hidden))
        chain = self._walk(chain, passage, last=tools)
        chain = self._open(chain, ["system", switches.has_citations])
        return self._walk(chain, passage, first=tools)

    def _history_chain(self, switches: _Switches) -> _Chain:
        of_system = _Switches(has_citations=switches.has_citations, has_images=False)
        before = self.shared.chain(of_system, self._shared_chain)
        opened = self._open(before, ["messages", self.settings.tool_choice, switches.has_images])
        return self._walk(replace(opened, look_back=()), self.history.passage)

    def _draft_chain(self, switches: _Switches) -> _Chain:
        before = self.history.chain(switches, self._history_chain)
        return self._walk(replace(before, look_back=()), self.draft.passage)

    def _turn_chain(self, switches: _Switches, turn: Passage) -> _Chain:
        before = self.draft.chain(switches, self._draft_chain)
        return self._walk(replace(before, look_back=()), turn)

    def _open(self, chain: _Chain, level: Any) -> _Chain:
        return replace(chain, digest=_digest(self.key, chain.digest, canonical_bytes(level)))

    def _walk(self, chain: _Chain, passage: Passage, *, first: int = 0, last: int | None = None) -> _Chain:
        """`chain` after the blocks `first` to `last` (exclusive) of `passage`."""
        digest, size = chain.digest, chain.size
        look_back, asked = chain.look_back, chain.asked
        recent = deque(chain.recent, maxlen=LOOK_BACK_POSITIONS)
        tokens_per_unit = prior_tokens(facts_for(self.settings.model))
        for index, block in enumerate(passage.blocks[first:last], start=first):
            digest = _digest(self.key, digest, block.level.encode() + b"\0" + block.data)
            size = sum_of(size, block.size)
            tokens = tokens_of(size, tokens_per_unit)
            recent.append(Position(prefix_hash=digest.hex(), prefix_tokens=tokens, size=size))
            if index == passage.marked_block:
                look_back = tuple(reversed(recent))
            if index == passage.asked_block:
                asked = tuple(reversed(recent))
        return _Chain(digest=digest, size=size, recent=tuple(recent), look_back=look_back, asked=asked)


AnyPrompt = Prompt | PreparedPrompt


def prepare(prompt: Prompt, key: PrefixKey) -> PreparedPrompt:
    """Encodes `prompt`; digests are computed when they are first needed. What cannot be sent, or may not be set, is
    refused: `TypeError` or `ValueError`, in a sentence."""
    check_settings(prompt)
    history = PassageWriter(Passage())
    for turn in prompt.history:
        history.add_turn(turn)
    history_passage = history.finish()
    return PreparedPrompt(
        settings=replace(prompt, tools=(), system=(), history=(), draft=()),
        key=key,
        shared=_Part(shared_passage(prompt)),
        history=_Part(history_passage),
        draft=_Part(passage_after(history_passage, prompt.draft)),
    )


def build(prepared: PreparedPrompt, turn: LastTurn | None) -> Request:
    """The request for a prepared prompt followed by its last `turn`; None makes the warm-up."""
    placeholder = ({"type": "text", "text": PLACEHOLDER_TEXT},)
    asked = passage_after(prepared.draft.passage, placeholder if turn is None else turn)
    passages = (prepared.shared.passage, prepared.history.passage, prepared.draft.passage, asked)
    switches = _switches(*passages[1:])
    of_system = _Switches(has_citations=switches.has_citations, has_images=False)
    chains = [
        prepared.shared.chain(of_system, prepared._shared_chain),
        prepared.history.chain(switches, prepared._history_chain),
        prepared.draft.chain(switches, prepared._draft_chain),
    ]
    if turn is not None:
        chains.append(prepared._turn_chain(switches, asked))
    ttls = _ttls(prepared.settings)
    pieces: list[bytes | memoryview] = []
    breakpoints = []
    for layer, passage, chain in zip(Layer, passages, chains, strict=False):
        # With a draft there are four breakpoints without this one. A warm-up leaves out the same, to be the same bytes.
        is_bridged = layer is Layer.CONVERSATION and not chains[2].look_back and _is_out_of_reach(passage)
        pieces += _marked(passage, ttls[layer], is_bridged=is_bridged) if chain.look_back else passage.pieces
        if chain.look_back:
            look_back = _without_repeats(chain.look_back + chain.asked) if is_bridged else chain.look_back
            breakpoints.append(_breakpoint(layer, look_back, TTL_SECONDS[ttls[layer]]))
    if turn is None:
        pieces += asked.pieces
    pieces.append(b"]}]" if asked.role else b"]")
    settings = prepared.settings
    obstacle = obstacle_to_prewarming(settings)
    return Request(
        pieces=tuple(pieces),
        betas=settings.betas,
        prefix=Prefix(model=settings.model, breakpoints=tuple(breakpoints), obstacle=obstacle),
        is_sendable=all(passage.is_sendable for passage in passages),
    )


def _breakpoint(layer: Layer, look_back: tuple[Position, ...], ttl_seconds: int) -> Breakpoint:
    nearest = look_back[0]
    return Breakpoint(
        layer=layer,
        prefix_hash=nearest.prefix_hash,
        prefix_tokens=nearest.prefix_tokens,
        ttl_seconds=ttl_seconds,
        look_back=look_back,
    )


def _is_out_of_reach(history: Passage) -> bool:
    """Whether the last answer has so many blocks (tools, citations) that a search back from its end does not reach the
    question, where the last request's entry ends. One more breakpoint there finds it."""
    marked, asked = history.marked_block, history.asked_block
    return marked is not None and asked is not None and marked - asked >= LOOK_BACK_POSITIONS


def _without_repeats(positions: tuple[Position, ...]) -> tuple[Position, ...]:
    return tuple(dict.fromkeys(positions))


def _marked(passage: Passage, ttl: Ttl, *, is_bridged: bool) -> list[bytes | memoryview]:
    """The passage as it is sent with a breakpoint on its last block that can carry one, and one on the question if the
    search for an earlier entry needs that bridge."""
    pieces: list[bytes | memoryview] = list(passage.pieces)
    for place in (passage.marked_piece, *([passage.asked_piece] if is_bridged else [])):
        pieces[place : place + 1] = (memoryview(passage.pieces[place])[:-1], _CACHE_CONTROL[ttl])
    return pieces


def _ttls(settings: Prompt) -> dict[Layer, Ttl]:
    """The API refuses a longer TTL after a shorter one, so the shared layer lives as long as the layers after it.

    Decided without checking which of them exist: a new chat's warm-up has no layer after it, its reply has one.
    """
    conversation: Ttl = "1h" if settings.conversation_ttl == "1h" else "5m"
    shared: Ttl = "1h" if "1h" in (settings.shared_ttl, conversation) else "5m"
    return {
        Layer.SHARED: shared,
        Layer.CONVERSATION: conversation,
        Layer.DRAFT: conversation,
        Layer.TURN: conversation,
    }


def _switches(*passages: Passage) -> _Switches:
    return _Switches(
        has_citations=any(passage.has_citations for passage in passages),
        has_images=any(passage.has_images for passage in passages),
    )


def _digest(key: PrefixKey, before: bytes, data: bytes) -> bytes:
    return hmac.digest(key.secret, before + data, "sha256")
