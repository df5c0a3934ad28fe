"""Scenes to replay, and their outcomes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from warmcache.replay.people import Intent
from warmcache.replay.prompts import ConversationPrompts
from warmcache.replay.traces import TracedConversation


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What one conversation cost, and how long its person waited."""

    dollars: Decimal = Decimal(0)
    """Input of requests and warm-ups; replies cost the same under every policy."""
    warm_up_dollars: Decimal = Decimal(0)
    wasted_dollars: Decimal = Decimal(0)
    """Spent on warm-ups that no request read in time."""
    waits: list[float] = field(default_factory=list)
    """First-token seconds of each send of a person, from the press, including joins."""
    sends: int = 0
    warm_ups: int = 0
    wasted: int = 0
    joins: int = 0

    @property
    def seconds(self) -> float:
        return sum(self.waits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything that does not depend on the policy: conversations, their prompts, people's signs."""

    conversations: Sequence[TracedConversation]
    prompts: Sequence[ConversationPrompts]
    intents: Sequence[Sequence[Intent]]
    is_shared: bool
    """Whether the conversations share a clock and their shared layer."""
