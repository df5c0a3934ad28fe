"""What the simulated model answers: quotes from the prompt's own documents, and the plain statement that it is
no model. Deterministic for a given seed and request.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from warmcache.core.catalog import ModelFacts
from warmcache.simulator.passages import Library, Passage, documents_of
from warmcache.simulator.prompt import as_blocks, effort_of, thinking_mode
from warmcache.simulator.quotes import citable_documents, cited_texts
from warmcache.simulator.structured import example_of
from warmcache.simulator.summaries import asks_for_summary, summary_of
from warmcache.simulator.thinking import signature_for
from warmcache.simulator.titles import asks_for_title, title_of
from warmcache.simulator.tokens import canonical_json, text_tokens
from warmcache.simulator.tool_calls import quoted_results, wanted_calls

_QUOTED_CHARS = 800
_MAX_QUOTES = 3
_HIDDEN_THINKING_TOKENS = {"low": 0, "medium": 24, "high": 64, "xhigh": 160, "max": 320}
_OPENINGS = (
    "This is a simulated reply: no model was asked. These passages of the documents share the most with your "
    "question, quoted word for word.",
    "No model was asked, so this is a simulated reply. Here is what the documents say that comes closest to your "
    "question, quoted word for word.",
    "You are reading a simulated reply, not a model's answer. The passages below match your question best and are "
    "quoted word for word from the documents.",
)
_NOTHING_FOUND = (
    "This is a simulated reply: no model was asked. No passage of this prompt's documents ({count} in all) matches "
    "your question, so there is nothing to quote. A question with words from the documents finds more."
)
_NO_DOCUMENTS = (
    "This is a simulated reply: no model was asked, and this prompt has no documents to quote. Your message "
    "({words} words) arrived and was counted as {tokens} tokens of input. With an API key, Claude itself answers here."
)
_TOOLS_ANSWERED = "This is a simulated reply: no model was asked. It called the tools that your message names."
_SUMMARY = (
    "The person asks about {topic}. I look for the passages of the documents that share the most telling words with "
    "that, and quote the best of them."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyBlock:
    """One content block of a reply. `text` is what streams: text, thinking, or the JSON of a tool's input."""

    kind: str
    text: str = ""
    tokens: int = 0
    """Output tokens of this block; more than its text if thinking is omitted from the response."""
    data: dict[str, Any] = field(default_factory=dict)
    """The other fields: citations, a tool's id and name, a signature, or the complete block if it does not stream."""

    def content(self) -> dict[str, Any]:
        """The block as it appears in a complete message."""
        if self.kind == "text":
            return {"type": "text", "text": self.text, **self.data}
        if self.kind == "thinking":
            return {"type": "thinking", "thinking": self.text, **self.data}
        if self.kind == "tool_use":
            return {"type": "tool_use", **self.data, "input": json.loads(self.text or "{}")}
        return self.data


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole answer, before it is paced and sent."""

    blocks: tuple[ReplyBlock, ...]
    stop_reason: str = "end_turn"
    more_usage: dict[str, Any] = field(default_factory=dict)
    """Further counters of its usage, such as `server_tool_use`."""
    stop_sequence: str | None = None
    stop_details: dict[str, Any] | None = None
    container: dict[str, Any] | None = None
    """The container in which the provider's tools ran."""
    tokens_per_second: float | None = None
    """Overrides the profile's rate, for a scripted reply."""
    ttft_seconds: float | None = None
    """Overrides the simulated time until the response begins, for a scripted reply."""

    @property
    def output_tokens(self) -> int:
        """All generated tokens; never 0, because even an empty answer costs something."""
        return max(1, sum(block.tokens for block in self.blocks))

    @property
    def thinking_tokens(self) -> int:
        """Tokens spent on thinking."""
        return sum(block.tokens for block in self.blocks if block.kind == "thinking")

    @property
    def silent_tokens(self) -> int:
        """Tokens generated before the first visible one: thinking that is not shown."""
        first = self.blocks[0] if self.blocks else None
        return first.tokens if first is not None and first.kind == "thinking" and not first.text else 0


def text_block(text: str, facts: ModelFacts, *, citations: Sequence[dict[str, Any]] = ()) -> ReplyBlock:
    """A text block with its tokens counted."""
    data = {"citations": list(citations)} if citations else {}
    return ReplyBlock(kind="text", text=text, tokens=text_tokens(text, facts.chars_per_token), data=data)


class ReplyWriter:
    """Composes replies; keeps the indexes of recent documents."""

    def __init__(self, *, seed: int = 1) -> None:
        self._seed = seed
        self._library = Library()

    def prepare(self, body: dict[str, Any]) -> None:
        """Indexes the documents of a request in advance, so that the reply to the next one costs no time."""
        self._library.index(documents_of(body))

    def compose(
        self, body: dict[str, Any], facts: ModelFacts, *, input_tokens: int, bound_to: str, tool_use_id: str
    ) -> Reply:
        """The reply to a validated body. May take some 30 ms for documents seen for the first time."""
        question = question_of(body)
        tool = _forced_tool(body)
        if tool is not None:
            # A forced call comes at once: no text and no thinking stand before it.
            return Reply(blocks=(_example_call(tool, question, facts, tool_use_id),), stop_reason="tool_use")
        calls = wanted_calls(body, question)
        schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
        if asks_for_title(body):
            return Reply(blocks=(text_block(title_of(question), facts),))
        if calls:
            blocks = [
                _call(call.tool, call.input, facts, f"{tool_use_id}{number or ''}") for number, call in enumerate(calls)
            ]
        elif schema is not None:
            blocks = [text_block(json.dumps(example_of(schema, question), ensure_ascii=False), facts)]
        else:
            texts = self._answer(body, question, input_tokens)
            blocks = [text_block(text, facts, citations=citations) for text, citations in texts]
        thinking = self._thinking(body, facts, question, bound_to)
        if thinking is not None:
            blocks.insert(0, thinking)
        return Reply(blocks=tuple(blocks), stop_reason="tool_use" if calls else "end_turn")

    def _answer(self, body: dict[str, Any], question: str, input_tokens: int) -> list[tuple[str, list[dict[str, Any]]]]:
        if asks_for_summary(question):
            return [(summary_of(body), [])]
        results = quoted_results(body)
        if results:
            return [("\n\n".join([_TOOLS_ANSWERED, *results]), [])]
        documents = documents_of(body)
        if not documents:
            return [(_NO_DOCUMENTS.format(words=len(question.split()), tokens=f"{input_tokens:,}"), [])]
        passages = self._library.index(documents).best(question, _MAX_QUOTES)
        if not passages:
            return [(_NOTHING_FOUND.format(count=len(documents)), [])]
        draw = random.Random(f"{self._seed}:{question}")  # noqa: S311 - a repeatable draw, not a secret
        return cited_texts(draw.choice(_OPENINGS), _that_fit(passages), citable_documents(body))

    def _thinking(self, body: dict[str, Any], facts: ModelFacts, question: str, bound_to: str) -> ReplyBlock | None:
        mode = thinking_mode(body, facts)
        if mode not in ("adaptive", "enabled"):
            return None
        asked = (body.get("thinking") or {}).get("display")
        shown = asked == "summarized" or (asked is None and facts.shows_thinking_by_default)
        if not shown and not facts.always_thinks:
            return None
        text = _SUMMARY.format(topic=_topic(question)) if shown else ""
        spent = text_tokens(text, facts.chars_per_token) or _HIDDEN_THINKING_TOKENS[effort_of(body, facts)]
        data = {"signature": signature_for(facts, bound_to)}
        return ReplyBlock(kind="thinking", text=text, tokens=spent, data=data)


def question_of(body: dict[str, Any]) -> str:
    """The text of the last turn that a person wrote."""
    for message in reversed(body["messages"]):
        if message["role"] != "user":
            continue
        texts = [block["text"] for block in as_blocks(message["content"]) if block.get("type") == "text"]
        if texts:
            return str(texts[-1])
    return ""


def cap(reply: Reply, facts: ModelFacts, *, max_tokens: int, room_tokens: int) -> Reply:
    """Cuts the reply at `max_tokens`, or at the remaining tokens of the context window."""
    allowed = min(max_tokens, room_tokens)
    if reply.output_tokens <= allowed:
        return reply
    kept: list[ReplyBlock] = []
    for block in reply.blocks:
        room = allowed - sum(earlier.tokens for earlier in kept)
        if room <= 0:
            break
        kept.append(_shorten(block, room, facts) if block.tokens > room else block)
    reason = "max_tokens" if max_tokens <= room_tokens else "model_context_window_exceeded"
    return replace(reply, blocks=tuple(kept), stop_reason=reason, stop_sequence=None)


def stop_at(reply: Reply, sequences: list[str], facts: ModelFacts) -> Reply:
    """Ends the reply before the first stop sequence in its text."""
    for number, block in enumerate(reply.blocks):
        found = [(block.text.find(sequence), sequence) for sequence in sequences if sequence in block.text]
        if block.kind == "text" and found:
            at, sequence = min(found)
            ended = (*reply.blocks[:number], text_block(block.text[:at], facts))
            return replace(reply, blocks=ended, stop_reason="stop_sequence", stop_sequence=sequence)
    return reply


def _forced_tool(body: dict[str, Any]) -> dict[str, Any] | None:
    """The client's tool that `tool_choice` forces: the named one, or for `any` the first."""
    choice = body.get("tool_choice") or {}
    if choice.get("type") not in ("any", "tool"):
        return None
    tools: list[dict[str, Any]] = [tool for tool in body["tools"] if "input_schema" in tool]
    return next((tool for tool in tools if choice["type"] == "any" or tool["name"] == choice["name"]), None)


def _example_call(tool: dict[str, Any], question: str, facts: ModelFacts, tool_use_id: str) -> ReplyBlock:
    return _call(tool, example_of(tool["input_schema"], question), facts, tool_use_id)


def _call(tool: dict[str, Any], given: Any, facts: ModelFacts, tool_use_id: str) -> ReplyBlock:
    text = canonical_json(given)
    return ReplyBlock(
        kind="tool_use",
        text=text,
        tokens=text_tokens(f"{tool['name']}{text}", facts.chars_per_token),
        data={"id": tool_use_id, "name": tool["name"]},
    )


def _that_fit(passages: list[Passage]) -> list[Passage]:
    chosen = passages[:1]
    used = len(passages[0].text) + len(passages[0].code)
    for passage in passages[1:]:
        used += len(passage.text) + len(passage.code)
        if used > _QUOTED_CHARS:
            break
        chosen.append(passage)
    return chosen


def _topic(question: str) -> str:
    words = question.split()
    return " ".join(words[:12]).rstrip("?.!,;:") or "nothing in particular"


def _shorten(block: ReplyBlock, room: int, facts: ModelFacts) -> ReplyBlock:
    if block.kind == "tool_use":
        return replace(block, text="", tokens=room)
    return replace(block, text=block.text[: int(room * facts.chars_per_token)], tokens=room)
