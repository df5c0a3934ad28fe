"""Simulated people: when they open a chat, begin to type, and give up. No trace records this; a fixed seed draws it.

Typing speed follows measured chat messages (log-normal, median 0.24 s per character, drawn once per conversation);
abandoned starts are placed where people of the same source come back; opening a page is simply assumed. None of these
numbers is fitted to results, and the sweep varies each of them.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from warmcache.core.intents import SURE_TYPING_CHARS, Sign
from warmcache.replay.traces import Trace, TracedConversation

CHARACTERS_PER_TOKEN = 4
SECONDS_PER_CHARACTER = 0.24
SPEED_SIGMA = 0.40
MESSAGE_SIGMA = 0.15
BEFORE_FIRST_KEY_SECONDS = 1.0
OPEN_TO_KEY_SECONDS = 17.0
OPEN_SIGMA = 0.6
SENDS_PER_OPEN = 0.35
"""Assumed: about a third of visits end with a message; a visit begins with the first message or after 5 min."""

VISIT_GAP_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A sign of a possible send; it does not tell whether the send follows."""

    at: float
    kind: Sign
    gap: int
    """The request after which it occurs; -1 before the first one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How people are simulated. With `duration_factor` 0 every message takes one second (paste, voice, a click)."""

    seed: int = 1
    abandonment: float = 0.13
    duration_factor: float = 1.0
    paste_characters: int = 400


class People:
    """Draws the intents of a trace's conversations, each from its own seed: they do not depend on policy or order."""

    def __init__(self, trace: Trace, habits: Habits) -> None:
        self._habits = habits
        self._gaps = _person_gaps(trace) or [120.0]
        self._messages = [
            request.message_tokens
            for conversation in trace.conversations
            for request in conversation.requests
            if request.is_person and request.message_tokens is not None
        ] or [30]

    def intents(self, conversation: TracedConversation) -> list[Intent]:
        """The intents, ordered by time."""
        draw = random.Random(f"{self._habits.seed}:{conversation.conversation_id}:people")  # noqa: S311 - repeatable
        speed = SECONDS_PER_CHARACTER * math.exp(draw.gauss(0, SPEED_SIGMA))
        found: list[Intent] = []
        requests = conversation.requests
        for index, request in enumerate(requests):
            if request.is_person:
                characters = self._characters(draw, request.message_tokens)
                seconds = self._duration(draw, speed, characters)
                earliest = requests[index - 1].reply_end if index else -math.inf
                first_key = min(request.at, max(earliest, request.at - seconds))
                found += self._phantoms(draw, conversation, index - 1, first_key, speed)
                found += _visit(draw, conversation, index - 1, first_key)
                found += _typing(first_key, request.at - first_key, characters, index - 1)
        found += self._phantoms(draw, conversation, len(requests) - 1, conversation.silent_until, speed)
        return sorted(found, key=lambda intent: intent.at)

    def _characters(self, draw: random.Random, message_tokens: int | None) -> int:
        tokens = draw.choice(self._messages) if message_tokens is None else message_tokens
        return max(1, min(CHARACTERS_PER_TOKEN * tokens, self._habits.paste_characters))

    def _duration(self, draw: random.Random, speed: float, characters: int) -> float:
        noise = math.exp(draw.gauss(0, MESSAGE_SIGMA))
        typed = self._habits.duration_factor * (BEFORE_FIRST_KEY_SECONDS + speed * noise * characters)
        return typed if self._habits.duration_factor else BEFORE_FIRST_KEY_SECONDS

    def _phantoms(
        self, draw: random.Random, conversation: TracedConversation, gap: int, before: float, speed: float
    ) -> list[Intent]:
        """Starts that were abandoned, and pages that were opened without a message."""
        found: list[Intent] = []
        for _ in range(_geometric(draw, self._habits.abandonment)):
            at = self._moment(draw, conversation, gap, before)
            characters = self._characters(draw, None)
            share = draw.random()
            seconds = share * self._duration(draw, speed, characters)
            if at is not None:
                found += _typing(at, seconds, int(share * characters), gap)
        for _ in range(_geometric(draw, 1 - SENDS_PER_OPEN)):
            at = self._moment(draw, conversation, gap, before)
            if at is not None and _is_visit(conversation, gap, at):
                found.append(Intent(at=at, kind=Sign.OPEN, gap=gap))
        return found

    def _moment(self, draw: random.Random, conversation: TracedConversation, gap: int, before: float) -> float | None:
        """When people of this source come back, if that lies after the reply and before the next real first key."""
        silence = draw.choice(self._gaps)
        if gap < 0:
            return before - silence
        at = conversation.requests[gap].at + silence
        return at if conversation.requests[gap].reply_end <= at < before else None


def _typing(first_key: float, seconds: float, characters: int, gap: int) -> list[Intent]:
    found = [Intent(at=first_key, kind=Sign.TYPING, gap=gap)]
    if characters >= SURE_TYPING_CHARS:
        share = SURE_TYPING_CHARS / characters
        found.append(Intent(at=first_key + share * seconds, kind=Sign.TYPING_20, gap=gap))
    return found


def _visit(draw: random.Random, conversation: TracedConversation, gap: int, first_key: float) -> list[Intent]:
    at = first_key - OPEN_TO_KEY_SECONDS * math.exp(draw.gauss(0, OPEN_SIGMA))
    if gap >= 0:
        at = max(at, conversation.requests[gap].reply_end)
    return [Intent(at=at, kind=Sign.OPEN, gap=gap)] if _is_visit(conversation, gap, at) else []


def _is_visit(conversation: TracedConversation, gap: int, at: float) -> bool:
    return gap < 0 or at - conversation.requests[gap].reply_end >= VISIT_GAP_SECONDS


def _geometric(draw: random.Random, chance: float) -> int:
    count = 0
    while draw.random() < chance:
        count += 1
    return count


def _person_gaps(trace: Trace) -> Sequence[float]:
    return [
        request.at - before.at
        for conversation in trace.conversations
        for before, request in zip(conversation.requests, conversation.requests[1:], strict=False)
        if request.is_person
    ]
