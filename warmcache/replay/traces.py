"""Recorded request timing, read from tables of numbers. The columns are described beside the tables.

Three sources are known: `claude_code` (agent sessions without a common clock), `mooncake_conversation` (one hour of a
chat service) and `burstgpt_v2_sample` (campus chat). Any other table with the same columns is read by its contents:
without `t_s` its conversations share no clock; without `shared_prefix_tokens`, as in `burstgpt_v2_sample`, only
arrivals and message sizes are used, and its prompts are rebuilt as an append-only chat with a system prompt of a
chosen size.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from warmcache.replay.trace_files import Row, TraceUnreadable, path_of, reading, rows_of

CLAUDE_CODE = "claude_code"
BURSTGPT = "burstgpt_v2_sample"
MOONCAKE = "mooncake_conversation"
SOURCES = (CLAUDE_CODE, BURSTGPT, MOONCAKE)

BLOCK_TOKENS = {CLAUDE_CODE: 64, MOONCAKE: 512}
"""The granularity at which common prefixes were measured: a shorter remainder is a common prefix too."""
OTHER_BLOCK_TOKENS = 64
"""The same if the granularity is unknown."""

SHORT_NAMES = {BURSTGPT: "burstgpt", MOONCAKE: "mooncake"}

SILENCE_AFTER_CAPTURE_SECONDS = 7200.0
"""Used if the end of observation is unknown: refreshes for a person who never comes back must be paid for."""

DECODE_TOKENS_PER_SECOND = 60.0

UNKNOWN_MESSAGE_TOKENS = 30
"""The size of a message in a table that records no sizes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedRequest:
    """One request. Times are seconds of its conversation's clock; tokens are counts."""

    at: float
    reply_end: float
    is_person: bool
    """Whether someone waits for the first token: true for a person's message, not for a tool's result or a script."""
    asks_tool: bool = False
    """Its reply ends with a tool request: known as soon as the reply is."""
    gap_is_known: bool = True
    """False if the trace cannot tell who sent the next request: nothing is learned from that gap."""
    prompt_tokens: int
    output_tokens: int
    kept_tokens: int
    """How much of the previous prompt and its reply this prompt still begins with."""
    message_tokens: int | None = None
    """The size of the person's own message, if known."""

    @property
    def history_tokens(self) -> int:
        """What the next prompt is expected to begin with: everything that a warm-up can cache before the message."""
        return self.prompt_tokens + self.output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedConversation:
    conversation_id: str
    shared_tokens: int
    requests: tuple[TracedRequest, ...]
    silent_until: float
    """End of observation: nobody came back until then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    name: str
    has_common_clock: bool
    """Whether all conversations share one clock, and therefore the shared layer of the prompt cache."""
    conversations: tuple[TracedConversation, ...]

    @property
    def requests(self) -> int:
        return sum(len(conversation.requests) for conversation in self.conversations)


def must_be_rebuilt(directory: Path, source: str) -> bool:
    """Whether a table does not record what its prompts have in common; raises `TraceError`."""
    path = path_of(directory, source)
    with reading(path):
        return not any(row["shared_prefix_tokens"] for row in rows_of(path))


def read_trace(directory: Path, source: str, *, system_tokens: int = 0, seed: int = 1) -> Trace:
    """Reads one table. `system_tokens`: size of the system prompt if the table must be rebuilt. Raises `TraceError`."""
    path = path_of(directory, source)
    with reading(path):
        grouped = _by_conversation(path)
        rows = list(grouped.values())
        name = SHORT_NAMES.get(source, source)
        if any(row["shared_prefix_tokens"] for one in rows for row in one):
            block_tokens = BLOCK_TOKENS.get(rows[0][0].get("source") or source, OTHER_BLOCK_TOKENS)
            conversations = [_conversation(one, block_tokens) for one in rows]
        else:
            conversations = _rebuilt_chats(grouped, system_tokens, seed)
            name = f"{name} S={system_tokens // 1000}k"
        has_common_clock = all(one[0]["t_s"] for one in rows)
    return Trace(name=name, has_common_clock=has_common_clock, conversations=tuple(conversations))


def _by_conversation(path: Path) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = {}
    for row in rows_of(path):
        grouped.setdefault(row["conversation_id"], []).append(row)
    if not grouped:
        raise TraceUnreadable(f"{path} holds no requests.")
    return grouped


def _conversation(rows: Sequence[Row], block_tokens: int) -> TracedConversation:
    shared = int(rows[0]["static_prefix_tokens"] or 0)
    start = float(rows[0]["t_s"] or 0)
    requests: list[TracedRequest] = []
    for index, row in enumerate(rows):
        following = rows[index + 1]["trigger"] if index + 1 < len(rows) else ""
        before = requests[-1] if requests else None
        requests.append(_request(row, following, start, _kept(row, before, block_tokens, shared)))
    return TracedConversation(
        conversation_id=rows[0]["conversation_id"],
        shared_tokens=min(shared, requests[0].prompt_tokens - 1),
        requests=tuple(requests),
        silent_until=_silent_until(rows, start, requests),
    )


def _silent_until(rows: Sequence[Row], start: float, requests: Sequence[TracedRequest]) -> float:
    ended = rows[0]["obs_end_s"]
    return start + float(ended) if ended else requests[-1].at + SILENCE_AFTER_CAPTURE_SECONDS


def _request(row: Row, following: str, start: float, kept: int) -> TracedRequest:
    at = float(row["arrival_s"])
    output = int(row["output_tokens"] or 0)
    ended = float(row["reply_end_s"]) if row["reply_end_s"] else at + 1 + output / DECODE_TOKENS_PER_SECOND
    return TracedRequest(
        at=start + at,
        reply_end=start + ended,
        is_person=row["trigger"] in ("user", "edit") and "auto_suspect" not in row["flags"],
        asks_tool=following == "tool",
        gap_is_known=following in ("", "user", "edit", "tool"),
        prompt_tokens=max(2, int(row["input_tokens"])),
        output_tokens=output,
        kept_tokens=kept,
        message_tokens=int(row["user_tokens_est"]) if row["user_tokens_est"] else None,
    )


def _kept(row: Row, before: TracedRequest | None, block_tokens: int, shared: int) -> int:
    """The kept part of the previous prompt and its reply. A reply that does not fit was omitted or cut."""
    if before is None:
        return shared
    common = int(row["shared_prefix_tokens"] or 0)
    if common < before.prompt_tokens - block_tokens:
        return common
    room = int(row["input_tokens"])
    return before.history_tokens if room > before.history_tokens else min(before.prompt_tokens, room - 1)


def _rebuilt_chats(grouped: dict[str, list[Row]], system_tokens: int, seed: int) -> list[TracedConversation]:
    known = [int(row["user_tokens_est"]) for rows in grouped.values() for row in rows if row["user_tokens_est"]]
    known = known or [UNKNOWN_MESSAGE_TOKENS]
    chats = []
    for conversation_id, rows in grouped.items():
        draw = random.Random(f"{seed}:{conversation_id}:messages")  # noqa: S311 - a repeatable draw, not a secret
        history = system_tokens
        requests = []
        start = float(rows[0]["t_s"] or 0)
        for row in rows:
            message = int(row["user_tokens_est"]) if row["user_tokens_est"] else draw.choice(known)
            request = _request({**row, "input_tokens": str(history + max(1, message))}, "user", start, history)
            requests.append(replace(request, message_tokens=message))
            history = request.history_tokens
        chats.append(
            TracedConversation(
                conversation_id=conversation_id,
                shared_tokens=system_tokens,
                requests=tuple(requests),
                silent_until=_silent_until(rows, start, requests),
            )
        )
    return chats
