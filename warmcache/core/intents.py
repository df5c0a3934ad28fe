"""Which intent to warm at: opening the page, the first key, twenty characters? Compared per VISIT, not per event.

An early intent has more lead time and is more often followed by nothing. Per visit, `z` of which end with a send, an
intent with chance `q` is reached `z/q` times, so warming at each of them wastes `z/q - z` writes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from warmcache.core.forecast import Forecasts
from warmcache.core.worth import Outlook

SURER_INTENT = {"open": "typing", "typing": "typing_20"}
"""The next sign of the same visit that is followed by a send more often."""

_REACH_PRIOR, _REACH_WEIGHT = 0.85, 5.0
_NEGLIGIBLE_LAPSE = 0.005
"""Below, a hot prefix counts as safe: its last seconds are not worth a thought, let alone a warm-up."""


def outlook_of(
    forecasts: Forecasts, intent: str, *, model: str, hot_tokens: int, cold_tokens: int, left_seconds: float
) -> Outlook:
    """What one intent promises now, for a prefix whose hot part lapses in `left_seconds`."""
    forecast, prefill = forecasts.intent(intent), forecasts.prefill(model)
    lapse = forecast.lead_exceeds(left_seconds) if hot_tokens else 0.0
    lapse = lapse if lapse > _NEGLIGIBLE_LAPSE else 0.0
    saved = forecast.saved_seconds(
        prefill.saved_seconds(cold_tokens, cached_tokens=hot_tokens), round_trip_seconds=prefill.round_trip_seconds
    )
    if lapse:
        saved += lapse * prefill.saved_seconds(hot_tokens)
    return Outlook(send_chance=forecast.send_chance, saved_seconds=saved, lapse_chance=lapse)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentOutlook:
    """An intent as it is known from the past: `send_chance` given that it is reached."""

    intent: str
    send_chance: float
    saved_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentWorth:
    """What warming at one intent is worth per VISIT, so that rare sure intents compare with frequent unsure ones."""

    intent: str
    net_usd: Decimal


def compare_intents(
    outlooks: Iterable[IntentOutlook],
    *,
    visit_send_chance: float,
    write_usd: Decimal,
    read_usd: Decimal,
    value_of_second_usd: Decimal,
) -> tuple[IntentWorth, ...]:
    """Best first. `write_usd` and `read_usd`: writing and reading the cold part once.

    An intent that fewer sends reach than there are visits with a send pays for its rarity in `saved_seconds`.
    """
    weighed = (
        IntentWorth(
            intent=outlook.intent,
            net_usd=_net_per_visit(outlook, visit_send_chance, write_usd, read_usd, value_of_second_usd),
        )
        for outlook in outlooks
    )
    return tuple(sorted(weighed, key=lambda worth: worth.net_usd, reverse=True))


def best_intent(worths: Sequence[IntentWorth]) -> IntentWorth | None:
    """The intent to warm at, or None where each of them loses."""
    best = max(worths, key=lambda worth: worth.net_usd, default=None)
    return best if best is not None and best.net_usd > 0 else None


def _net_per_visit(
    outlook: IntentOutlook, visit_send_chance: float, write_usd: Decimal, read_usd: Decimal, value: Decimal
) -> Decimal:
    sends = Decimal(visit_send_chance)
    wasted = Decimal(max(0.0, visit_send_chance / outlook.send_chance - visit_send_chance))
    return sends * (value * Decimal(outlook.saved_seconds) - read_usd) - wasted * write_usd


def is_worth_waiting(
    now: IntentOutlook,
    later: IntentOutlook,
    *,
    visit_send_chance: float,
    write_usd: Decimal,
    value_of_second_usd: Decimal,
) -> bool:
    """Whether to wait from one intent for a surer one: the seconds lost are worth less than the writes not wasted."""
    sends = Decimal(visit_send_chance)
    lost = sends * value_of_second_usd * Decimal(now.saved_seconds - later.saved_seconds)
    spared = Decimal(visit_send_chance / now.send_chance - visit_send_chance / later.send_chance) * write_usd
    return lost < spared


def waits_for_surer(
    forecasts: Forecasts,
    intent: str,
    now: Outlook,
    later: Outlook,
    *,
    write_usd: Decimal,
    value_of_second_usd: Decimal,
) -> bool:
    """Whether the surer sign after `intent` is worth waiting for; sends that it does not precede lose their seconds."""
    surer = SURER_INTENT[intent]
    return is_worth_waiting(
        IntentOutlook(intent=intent, send_chance=now.send_chance, saved_seconds=now.saved_seconds),
        IntentOutlook(
            intent=surer,
            send_chance=later.send_chance,
            saved_seconds=later.saved_seconds * reach(forecasts, intent, surer),
        ),
        visit_send_chance=now.send_chance,
        write_usd=write_usd,
        value_of_second_usd=value_of_second_usd,
    )


def reach(forecasts: Forecasts, intent: str, surer: str) -> float:
    """The share of sends after `intent` that the surer sign precedes."""
    sent, surer_sent = forecasts.intent(intent).sent, forecasts.intent(surer).sent
    return min(1.0, (surer_sent + _REACH_WEIGHT * _REACH_PRIOR) / (sent + _REACH_WEIGHT))
