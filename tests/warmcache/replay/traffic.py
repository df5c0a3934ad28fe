"""Small hand-made traces."""

import csv
import gzip
from decimal import Decimal
from pathlib import Path

from warmcache.core.catalog import facts_for
from warmcache.core.economics import Rates
from warmcache.core.intents import Sign
from warmcache.replay.driver import Replay
from warmcache.replay.people import Intent
from warmcache.replay.policies import Policy
from warmcache.replay.prompts import ConversationPrompts, shared_link
from warmcache.replay.scenes import Outcome, Scene
from warmcache.replay.traces import TracedConversation, TracedRequest

MODEL = "claude-sonnet-5-5"
PROFILE = "sonnet"
"""0.70 s, 18 microseconds per uncached and 1 per cached token."""

RATES = Rates(
    input=Decimal("2e-6"),
    output=Decimal("10e-6"),
    cache_read=Decimal("0.1e-6"),
    cache_write_5m=Decimal("2.5e-6"),
    cache_write_1h=Decimal("4e-6"),
    version="test",
)


COLUMNS = (
    "source",
    "conversation_id",
    "user_id",
    "turn",
    "trigger",
    "t_s",
    "arrival_s",
    "reply_end_s",
    "gap_prev_request_s",
    "gap_prev_reply_s",
    "input_tokens",
    "output_tokens",
    "shared_prefix_tokens",
    "static_prefix_tokens",
    "user_tokens_est",
    "user_chars",
    "model",
    "ttft_s",
    "obs_end_s",
    "flags",
)
"""Of a table of requests."""


def rates(model: str, tokens: int) -> Rates:
    return RATES


def request(
    at: float,
    prompt_tokens: int,
    kept_tokens: int,
    *,
    output_tokens: int = 500,
    is_person: bool = True,
    asks_tool: bool = False,
) -> TracedRequest:
    """One that is answered within ten seconds."""
    return TracedRequest(
        at=at,
        reply_end=at + 10,
        is_person=is_person,
        asks_tool=asks_tool,
        prompt_tokens=prompt_tokens,
        output_tokens=output_tokens,
        kept_tokens=kept_tokens,
    )


def conversation(
    *requests: TracedRequest, shared_tokens: int = 4_000, name: str = "c1", silent_for: float = 7200
) -> TracedConversation:
    return TracedConversation(
        conversation_id=name,
        shared_tokens=shared_tokens,
        requests=requests,
        silent_until=requests[-1].at + silent_for,
    )


def typing(at: float, gap: int, kind: Sign = Sign.TYPING) -> Intent:
    return Intent(at=at, kind=kind, gap=gap)


def scene(*parts: tuple[TracedConversation, list[Intent]], is_shared: bool = True) -> Scene:
    facts = facts_for(MODEL)
    link = shared_link("everybody")
    return Scene(
        conversations=[talk for talk, _ in parts],
        prompts=[ConversationPrompts(talk, facts, shared_link=link) for talk, _ in parts],
        intents=[intents for _, intents in parts],
        is_shared=is_shared,
    )


def replay(played: Scene, policy: Policy, **known) -> list[Outcome]:
    return Replay(played, policy, model=MODEL, rates=rates, profile=PROFILE, **known).run()


def write(path: Path, rows: list[dict[str, object]]) -> None:
    """A table of requests; what a row leaves out is unknown."""
    with gzip.open(path, "wt", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
