"""What a sign promises now, and whether to wait for a surer one.

An early sign gives more lead time but is more often followed by nothing. Compared per VISIT: a share `z` of the visits
ends with a send, and a sign with chance `q` is reached `z/q` times, so warming at each of them wastes `z/q - z` writes.
"""

from decimal import Decimal

from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.forecast.signs import IntentForecast
from warmcache.core.worth import Outlook

_REACH_PRIOR, _REACH_WEIGHT = 0.85, 5.0
_NEGLIGIBLE_LAPSE = 0.005
"""Below this chance of a lapse, a hot prefix counts as safe and its last seconds are ignored."""


def outlook_of(
    forecasts: Forecasts,
    name: str,
    *,
    model: str,
    hot_tokens: int,
    cold_tokens: int,
    left_seconds: float,
    held_tokens: int = 0,
    held_left_seconds: float = 0.0,
    kept_share: float = 1.0,
) -> Outlook:
    """What the forecast of this name promises for a prefix whose hot part lapses in `left_seconds`, except for its
    leading `held_tokens`, which lapse in `held_left_seconds`.

    `kept_share`: the chance that a send begins with the prefix at all.
    """
    forecast, prefill = forecasts.intent(name), forecasts.prefill(model)
    lapse = _lapse_chance(forecast, left_seconds) if hot_tokens else 0.0
    held_lapse = min(lapse, _lapse_chance(forecast, held_left_seconds)) if held_tokens else 0.0
    saved = forecast.saved_seconds(
        prefill.saved_seconds(cold_tokens, cached_tokens=hot_tokens), round_trip_seconds=prefill.round_trip_seconds
    )
    if lapse:
        saved += lapse * prefill.saved_seconds(hot_tokens - held_tokens, cached_tokens=held_tokens)
    if held_lapse:
        saved += held_lapse * prefill.saved_seconds(held_tokens)
    return Outlook(
        send_chance=forecast.send_chance * kept_share,
        saved_seconds=saved,
        lapse_chance=lapse,
        held_lapse_chance=held_lapse,
    )


def _lapse_chance(forecast: IntentForecast, left_seconds: float) -> float:
    chance = forecast.lead_exceeds(left_seconds)
    return chance if chance > _NEGLIGIBLE_LAPSE else 0.0


def waits_for_surer(
    forecasts: Forecasts,
    sign: str,
    surer: str,
    now: Outlook,
    later: Outlook,
    *,
    write_usd: Decimal,
    value_of_second_usd: Decimal,
) -> bool:
    """Whether it pays to wait for the surer sign; a send without that sign first then saves no seconds."""
    return is_worth_waiting(
        now,
        later,
        reached_share=reach(forecasts, sign, surer),
        visit_send_chance=now.send_chance,
        write_usd=write_usd,
        value_of_second_usd=value_of_second_usd,
    )


def is_worth_waiting(
    now: Outlook,
    later: Outlook,
    *,
    reached_share: float,
    visit_send_chance: float,
    write_usd: Decimal,
    value_of_second_usd: Decimal,
) -> bool:
    """Whether the lost seconds are worth less than the writes that waiting avoids.

    `reached_share`: share of the visits ending with a send in which the later sign occurs.
    """
    sends = Decimal(visit_send_chance)
    lost = sends * value_of_second_usd * Decimal(now.saved_seconds - later.saved_seconds * reached_share)
    spared = Decimal(visit_send_chance / now.send_chance - visit_send_chance / later.send_chance) * write_usd
    return lost < spared


def reach(forecasts: Forecasts, sign: str, surer: str) -> float:
    """The share of sends after `sign` that `surer` precedes."""
    sent, surer_sent = forecasts.intent(sign).sent, forecasts.intent(surer).sent
    return min(1.0, (surer_sent + _REACH_WEIGHT * _REACH_PRIOR) / (sent + _REACH_WEIGHT))
