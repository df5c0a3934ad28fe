"""What happened, in the order in which it happened: of a warm-up, of a visit that was not warmed, of a slow reply."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

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
        _tokens(row),
        _end(row),
        *(_met(usage) for usage in requests[:3]),
    ]
    return format_html("<ol>{}</ol>", format_html_join("", "<li>{}</li>", ((sentence,) for sentence in sentences)))


def why_of(row: UsageRecord) -> str:
    """Why the visit before this request was warmed, or was not."""
    if not row.decided:
        return gettext("Nothing announced this request: nobody was seen typing, or this process began after it.")
    return _decision(row.decided, row.numbers)


def _decision(reason: str, numbers: dict[str, Any]) -> str:
    known = Reason(reason) if reason in list(Reason) else None
    told = (
        gettext("It was decided to warm (%(reason)s): %(because)s.")
        if known in TO_WARM
        else gettext("It was decided not to warm (%(reason)s): %(because)s.")
    )
    because = gettext(known.words) if known is not None else reason
    return " ".join([told % {"reason": reason, "because": because}, *_weighed(numbers)])


def _weighed(numbers: dict[str, Any]) -> Iterator[str]:
    """The rule, with its numbers."""
    if "send_chance" not in numbers:
        return
    need = numbers.get("break_even_chance")
    told = (
        gettext("A message was expected with a chance of %(chance)s; no chance would have been enough.")
        if need is None
        else gettext("A message was expected with a chance of %(chance)s; %(need)s was needed.")
    )
    yield told % {"chance": f"{numbers['send_chance']:.0%}", "need": f"{need or 0:.0%}"}
    told = gettext(
        "It was to save %(seconds)s s at %(each)s a second, %(benefit)s in all, and to cost %(cost)s: net %(net)s."
    )
    yield told % {
        "seconds": f"{numbers.get('saved_seconds', 0):g}",
        "each": _money(numbers, "value_of_second_usd"),
        "benefit": _money(numbers, "benefit_usd"),
        "cost": _money(numbers, "cost_usd"),
        "net": _money(numbers, "net_usd"),
    }
    if numbers.get("cap_usd") is not None:
        yield gettext("The cap for one warm-up was %(usd)s.") % {"usd": _money(numbers, "cap_usd")}


def _money(numbers: dict[str, Any], name: str) -> str:
    value = numbers.get(name)
    return "$?" if value is None else dollars(Decimal(str(value)))


def _call(row: WarmUp) -> str:
    if row.duration_ms and row.error_code:
        told = gettext("The call to %(model)s took %(time)s and failed (%(code)s)")
    elif row.duration_ms:
        told = gettext("The call to %(model)s took %(time)s")
    elif row.error_code:
        told = gettext("The call to %(model)s failed (%(code)s)")
    else:
        told = gettext("The call to %(model)s has not ended")
    told %= {"model": row.model, "time": seconds(row.duration_ms), "code": row.error_code}
    named = gettext(", request %(id)s") % {"id": row.request_id} if row.request_id else ""
    return f"{told}{named}."


def _tokens(row: WarmUp) -> str:
    cost = gettext("at an unknown price") if row.cost_usd is None else f"${row.cost_usd:.6f}"
    return gettext("It was billed %(cost)s: %(written)s tokens written, %(read)s read, %(neither)s neither.") % {
        "cost": cost,
        "written": f"{row.cache_write_tokens:,}",
        "read": f"{row.cache_read_tokens:,}",
        "neither": f"{row.input_tokens:,}",
    }


def _end(row: WarmUp) -> str:
    if row.outcome == Outcome.PENDING:
        return gettext("It waits for a request.")
    words = gettext(Outcome(row.outcome).words) if row.outcome in list(Outcome) else row.outcome
    at = f"{moment(row.settled_at)}: " if row.settled_at else ""
    return f"{at}{words}."


def _met(usage: UsageRecord) -> str:
    told = gettext("%(at)s: a request read %(read)s tokens of the cache; its first text came after %(time)s.") % {
        "at": moment(usage.started_at),
        "read": f"{usage.cache_read_tokens:,}",
        "time": seconds(usage.ttft_ms),
    }
    if not usage.miss_reason:
        return told
    return f"{told} {gettext('The API says why it missed: %(why)s.') % {'why': usage.miss_reason}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A part of the wait for the first text."""

    name: str
    milliseconds: int


def legs_of(row: UsageRecord, message: ShownMessage | None) -> list[Leg]:
    """In order; what was not measured is part of the next leg. Together they are the wait of the person."""
    ends: list[tuple[str, int | None]]
    ends = [(gettext("waiting for a warm-up"), row.waited_ms)]
    ends += [(gettext("the API, until it answered"), row.answered_ms)]
    ends += [(gettext("the API, until its first token"), row.first_token_ms)]
    ends += [(gettext("thinking, until the first text"), row.ttft_ms)]
    legs: list[Leg] = []
    reached = 0
    for name, end in ends:
        if end is not None and end > reached:
            legs.append(Leg(name=name, milliseconds=end - reached))
            reached = end
    if message is None or row.ttft_ms is None or message.server_ttft_ms is None:
        return legs
    own = Leg(name=gettext("our own part, before the call"), milliseconds=max(0, message.server_ttft_ms - row.ttft_ms))
    browser = (message.browser_ttft_ms or message.server_ttft_ms) - message.server_ttft_ms
    return [own, *legs, Leg(name=gettext("the way to the browser, and its paint"), milliseconds=max(0, browser))]


def bar_of(legs: list[Leg]) -> SafeString | str:
    """One bar, and its figures beside it."""
    whole = sum(leg.milliseconds for leg in legs)
    if not whole:
        return gettext("not measured")
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
        gettext("The first text after %(time)s") % {"time": seconds(whole)},
        bars,
        lines,
    )
