"""What happened, in the order in which it happened: of a warm-up, of a visit that was not warmed, of a slow reply."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from warmcache.admin.host import ShownMessage
from warmcache.admin.words import dollars, moment, seconds
from warmcache.core.reasons import TO_WARM, Reason
from warmcache.models import Outcome, UsageRecord, WarmUp

COLOURS = ("#868e96", "#9c36b5", "#1c7ed6", "#e8590c", "#2f9e44", "#b08900")
BAR_WIDTH, BAR_HEIGHT = 1000, 24


def story_of(row: WarmUp, requests: list[UsageRecord]) -> SafeString:
    """An ordered list; `requests`: those that met it, oldest first."""
    sentences = [
        f"{moment(row.started_at)}: {_decision(row.reason, row.numbers)}",
        _call(row),
        f"It was billed {_tokens(row)}.",
        _end(row),
        *(_met(usage) for usage in requests[:3]),
    ]
    return format_html("<ol>{}</ol>", format_html_join("", "<li>{}</li>", ((sentence,) for sentence in sentences)))


def why_of(row: UsageRecord) -> str:
    """Why the visit before this request was warmed, or was not."""
    if not row.decided:
        return "Nothing announced this request: nobody was seen typing, or this process began after it."
    return _decision(row.decided, row.numbers)


def _decision(reason: str, numbers: dict[str, Any]) -> str:
    known = Reason(reason) if reason in list(Reason) else None
    said = "to warm" if known in TO_WARM else "not to warm"
    because = known.words if known is not None else reason
    return " ".join([f"It was decided {said} ({reason}): {because}.", *_weighed(numbers)])


def _weighed(numbers: dict[str, Any]) -> Iterator[str]:
    """The rule, with its numbers."""
    if "send_chance" not in numbers:
        return
    need = numbers.get("break_even_chance")
    needed = "no chance would have been enough" if need is None else f"{need:.0%} was needed"
    yield f"A message was expected with a chance of {numbers['send_chance']:.0%}; {needed}."
    yield (
        f"It was to save {numbers.get('saved_seconds', 0):g} s at {_money(numbers, 'value_of_second_usd')} a second,"
        f" {_money(numbers, 'benefit_usd')} in all, and to cost {_money(numbers, 'cost_usd')}:"
        f" net {_money(numbers, 'net_usd')}."
    )
    if numbers.get("cap_usd") is not None:
        yield f"The cap for one warm-up was {_money(numbers, 'cap_usd')}."


def _money(numbers: dict[str, Any], name: str) -> str:
    value = numbers.get(name)
    return "$?" if value is None else dollars(Decimal(str(value)))


def _call(row: WarmUp) -> str:
    named = f", request {row.request_id}" if row.request_id else ""
    failed = f" and failed ({row.error_code})" if row.error_code else ""
    took = f"took {seconds(row.duration_ms)}" if row.duration_ms else "has not ended"
    return f"The call to {row.model} {took}{failed}{named}."


def _tokens(row: WarmUp) -> str:
    cost = "at an unknown price" if row.cost_usd is None else f"${row.cost_usd:.6f}"
    return (
        f"{cost}: {row.cache_write_tokens:,} tokens written, {row.cache_read_tokens:,} read,"
        f" {row.input_tokens:,} neither"
    )


def _end(row: WarmUp) -> str:
    if row.outcome == Outcome.PENDING:
        return "It waits for a request."
    words = Outcome(row.outcome).words if row.outcome in list(Outcome) else row.outcome
    at = f"{moment(row.settled_at)}: " if row.settled_at else ""
    return f"{at}{words}."


def _met(usage: UsageRecord) -> str:
    missed = f" The API says why it missed: {usage.miss_reason}." if usage.miss_reason else ""
    return (
        f"{moment(usage.started_at)}: a request read {usage.cache_read_tokens:,} tokens of the cache;"
        f" its first text came after {seconds(usage.ttft_ms)}.{missed}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A part of the wait for the first text."""

    name: str
    milliseconds: int


def legs_of(row: UsageRecord, message: ShownMessage | None) -> list[Leg]:
    """In order; what was not measured is part of the next leg. Together they are the wait of the person."""
    ends: list[tuple[str, int | None]]
    ends = [("waiting for a warm-up", row.waited_ms), ("the API, until it answered", row.answered_ms)]
    ends += [("the API, until its first token", row.first_token_ms), ("thinking, until the first text", row.ttft_ms)]
    legs: list[Leg] = []
    reached = 0
    for name, end in ends:
        if end is not None and end > reached:
            legs.append(Leg(name=name, milliseconds=end - reached))
            reached = end
    if message is None or row.ttft_ms is None or message.server_ttft_ms is None:
        return legs
    own = Leg(name="our own part, before the call", milliseconds=max(0, message.server_ttft_ms - row.ttft_ms))
    browser = (message.browser_ttft_ms or message.server_ttft_ms) - message.server_ttft_ms
    return [own, *legs, Leg(name="the way to the browser, and its paint", milliseconds=max(0, browser))]


def bar_of(legs: list[Leg]) -> SafeString | str:
    """One bar, and its figures beside it."""
    whole = sum(leg.milliseconds for leg in legs)
    if not whole:
        return "not measured"
    parts, x = [], 0.0
    for leg, colour in zip(legs, COLOURS, strict=False):
        width = leg.milliseconds / whole * BAR_WIDTH
        parts.append((f"{x:.1f}", f"{width:.1f}", BAR_HEIGHT, colour))
        x += width
    bars = format_html_join("", '<rect x="{}" width="{}" height="{}" fill="{}"></rect>', parts)
    lines = format_html_join(
        "",
        '<li><svg width="12" height="12" aria-hidden="true"><rect width="12" height="12" fill="{}"></rect></svg> {}: {}'
        " ({})</li>",
        (
            (colour, leg.name, seconds(leg.milliseconds), f"{leg.milliseconds / whole:.0%}")
            for leg, colour in zip(legs, COLOURS, strict=False)
        ),
    )
    return format_html(
        '<svg class="wait-bar" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
        "<ul>{}</ul>",
        BAR_WIDTH,
        BAR_HEIGHT,
        f"The first text after {seconds(whole)}",
        bars,
        lines,
    )
