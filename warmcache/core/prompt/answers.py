"""An answer of the model as a turn of the next request: whole, except for what the API would refuse.

| left out | why |
|---|---|
| a tool call without its result, a result without its call | each half is refused without the other |
| thinking without a signature, which broke off | it cannot be verified |
| thinking after something of this answer that was left out | its signature covers what stood before it |
| thinking at the very end | an assistant's turn may not end with it |
| blank text | refused; between two texts, the earlier one gets it |
| the members in `REFUSED_MEMBERS` and `REFUSED_WHERE_NULL` | answers carry them, requests may not |

Everything else goes back as it came, blocks of unknown types too.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

from warmcache.core.prompt.forms import blocks_of
from warmcache.core.prompt.values import Json, Turn

REFUSED_MEMBERS: Mapping[str, frozenset[str]] = {
    "char_location": frozenset({"file_id"}),
    "page_location": frozenset({"file_id"}),
    "content_block_location": frozenset({"file_id"}),
}
"""Keyed by the `type` of an object, at any depth. A test compares it with the types of the official client."""

REFUSED_WHERE_NULL = frozenset({"caller", "citations"})
"""Members of blocks that answers set to null and requests leave out."""

THINKING = frozenset({"thinking", "redacted_thinking"})


def answer_turn(content: Sequence[Json], *, paired_elsewhere: Collection[str] = ()) -> Turn | None:
    """The content blocks of an answer that has ended as a turn of the history; None if nothing of it can be sent.

    `paired_elsewhere` are the ids of tool calls whose other half is in a neighbouring turn: calls whose results the
    next turn brings, and results of calls in an earlier turn.
    """
    return _turn(_Sending().of(content, paired={*_paired_in(content), *paired_elsewhere}))


def exchange_turns(exchange: Sequence[Turn], *, is_open: bool = False) -> tuple[Turn, ...]:
    """An answer that called the host's tools, with their results, as turns: what the model said and the results (role
    `user`), by turns. The same is left out as of one answer; a call and its result count as a pair across them.

    `is_open`: the exchange is to be continued, so that what still waits in its last answer is kept.
    """
    contents = [blocks_of(turn.blocks, where="a turn") for turn in exchange]
    sending = _Sending()
    turns: list[Turn | None] = []
    for place, (turn, content) in enumerate(zip(exchange, contents, strict=True)):
        before = [block for earlier in contents[:place] for block in earlier]
        after = [block for later in contents[place + 1 :] for block in later]
        waits = is_open and not any(later.role == "assistant" for later in exchange[place + 1 :])
        if waits and turn.role == "assistant" and not after:
            turns.append(paused_turn(content))
            continue
        called = {str(block["id"]) for block in content if is_tool_call(block)}
        paired = called if waits else _paired_in([*content, *after])
        sent = sending.of(content, paired=paired | (_paired_in([*before, *content]) - called))
        turns.append(_turn(sent, role=turn.role))
    return tuple(turn for turn in turns if turn is not None)


def paused_turn(content: Sequence[Json]) -> Turn | None:
    """An answer that is to be continued (`pause_turn`), as the last turn of the next request: nothing is left out but
    blank text, because what is still open is what the provider goes on with."""
    return _turn([_accepted(block) for block in content if not is_blank_text(block) and _has_whole_input(block)])


def text_turn(content: Sequence[Json]) -> Turn | None:
    """Only the text of an answer: for a history that another provider, model or account is to read, to whom
    signatures, encrypted results and calls of tools that it does not have mean nothing."""
    texts = ({"type": "text", "text": block["text"]} for block in content if block.get("type") == "text")
    return answer_turn(list(texts))


def is_tool_call(block: Json) -> bool:
    """A block with an input and an id counts as a tool call, whatever its type is called."""
    return "input" in block and "id" in block


def is_blank_text(block: Json) -> bool:
    return block.get("type") == "text" and not str(block.get("text", "")).strip()


class _Sending:
    """What of several answers in a row can be sent: what is left out of one decides about thinking in the next."""

    def __init__(self) -> None:
        self._is_whole = True

    def of(self, content: Iterable[Json], *, paired: Collection[str]) -> list[Json]:
        """`paired`: the ids of calls that have their results, and of results that have their calls."""
        sent: list[Json] = []
        follows_text = False
        for block in content:
            if is_blank_text(block):
                if follows_text:
                    sent[-1] = {**sent[-1], "text": sent[-1]["text"] + block["text"]}
                continue
            may_go = _may_go(block, paired) and (self._is_whole or block.get("type") not in THINKING)
            self._is_whole = self._is_whole and may_go
            if may_go:
                sent.append(_accepted(block))
            follows_text = may_go and block.get("type") == "text"
        while sent and sent[-1].get("type") in THINKING:
            sent.pop()
        return sent


def _paired_in(content: Iterable[Json]) -> set[str]:
    """The ids of calls that this content also answers."""
    called: set[str] = set()
    paired: set[str] = set()
    for block in content:
        if is_tool_call(block) and _has_whole_input(block):
            called.add(str(block["id"]))
        elif block.get("tool_use_id") in called:
            paired.add(str(block["tool_use_id"]))
    return paired


def _may_go(block: Json, paired: Collection[str]) -> bool:
    if is_tool_call(block):
        return block["id"] in paired and _has_whole_input(block)
    if "tool_use_id" in block:
        return block["tool_use_id"] in paired
    return block.get("type") != "thinking" or bool(block.get("signature"))


def _has_whole_input(block: Json) -> bool:
    return not is_tool_call(block) or isinstance(block["input"], Mapping)


def _accepted(block: Json) -> Json:
    """The block without what requests may not carry."""
    kept = {name: value for name, value in block.items() if value is not None or name not in REFUSED_WHERE_NULL}
    accepted: Json = _without_refused(kept)
    return accepted


def _without_refused(value: Any) -> Any:
    if isinstance(value, Mapping):
        refused = REFUSED_MEMBERS.get(str(value.get("type")), frozenset())
        return {name: _without_refused(inner) for name, inner in value.items() if name not in refused}
    if isinstance(value, list | tuple):
        return [_without_refused(inner) for inner in value]
    return value


def _turn(blocks: Sequence[Json], *, role: Literal["user", "assistant"] = "assistant") -> Turn | None:
    return Turn(role=role, blocks=tuple(blocks)) if blocks else None
