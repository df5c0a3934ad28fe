"""The first hour of a label of which nothing is known: the hardest hour for a rule that learns.

Traffic with a common clock is cut into hours, and each hour is a label of its own, with the conversations that begin in
it. Sessions without a common clock are a label each, in their first hour.
"""

from collections.abc import Iterator
from dataclasses import replace

from warmcache.replay.traces import Trace, TracedConversation

HOUR_SECONDS = 3600.0


def first_hours(trace: Trace) -> tuple[Trace, ...]:
    """One trace per label, in the order of time."""
    if not trace.has_common_clock:
        return tuple(
            replace(trace, conversations=(_until(conversation, HOUR_SECONDS),)) for conversation in trace.conversations
        )
    return tuple(replace(trace, conversations=conversations) for conversations in _by_hour(trace))


def _by_hour(trace: Trace) -> Iterator[tuple[TracedConversation, ...]]:
    hours: dict[int, list[TracedConversation]] = {}
    for conversation in trace.conversations:
        hour = int(conversation.requests[0].at // HOUR_SECONDS)
        hours.setdefault(hour, []).append(_until(conversation, (hour + 1) * HOUR_SECONDS))
    for _, conversations in sorted(hours.items()):
        yield tuple(conversations)


def _until(conversation: TracedConversation, end: float) -> TracedConversation:
    return replace(
        conversation,
        requests=tuple(request for request in conversation.requests if request.at < end),
        silent_until=min(conversation.silent_until, end),
    )
