import math
from decimal import Decimal
from typing import Any

import pytest

from warmcache.core.economics import Rates
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.forecast.teaching import teach_history
from warmcache.core.intents import Intent
from warmcache.core.keeping import KeepStakes
from warmcache.core.lifetimes import Growth, long_ttl_gain, long_ttl_pays, ttl_of_request, with_lifetimes
from warmcache.core.prefix import Prompt, build_request
from warmcache.testing import KEY, make_prompt

RATES = Rates(
    input=Decimal("0.000002"),
    output=Decimal("0.00001"),
    cache_read=Decimal("0.0000001"),
    cache_write_5m=Decimal("0.0000025"),
    cache_write_1h=Decimal("0.000004"),
    version="test",
)
OPEN = make_prompt(turns=1, shared_ttl="auto", conversation_ttl="auto")


def lifetimes(forecasts: Forecasts, prompt: Prompt = OPEN, *, rates: Any = RATES) -> Any:
    chosen = with_lifetimes(prompt, forecasts, lambda model, tokens: rates)
    return chosen.shared_ttl, chosen.conversation_ttl


def of_request(
    forecasts: Forecasts, *, tokens: int = 20_000, new: int = 1000, refreshes: bool = False, rates: Any = RATES
) -> str:
    return ttl_of_request(
        Growth(model="claude-sonnet-5-5", tokens=tokens, new_tokens=new),
        forecasts,
        lambda model, tokens: rates,
        value_of_second_usd=Decimal("0.05"),
        intents={Intent.TURN_FINISHED} if refreshes else set(),
    )


def taught(*, arrivals: float = 0.0, replies: float = 0.0) -> Forecasts:
    """Fifty silences of so many seconds each."""
    forecasts = Forecasts()
    for _ in range(50):
        if arrivals:
            forecasts.arrivals.observe(arrivals, returned=True)
        if replies:
            forecasts.after_reply.observe(replies, returned=True)
    return forecasts


def test_until_enough_is_known_everything_lives_five_minutes() -> None:
    assert lifetimes(Forecasts()) == ("5m", "5m")


@pytest.mark.parametrize("refreshes", [False, True])
def test_people_who_come_back_after_twenty_minutes_are_worth_an_hour(refreshes: bool) -> None:
    assert of_request(taught(replies=1200), refreshes=refreshes) == "1h"


@pytest.mark.parametrize("refreshes", [False, True])
def test_people_who_come_back_at_once_are_not(refreshes: bool) -> None:
    assert of_request(taught(replies=40), refreshes=refreshes) == "5m"


def test_a_conversation_that_is_left_open_lives_five_minutes_unless_a_request_chooses_an_hour() -> None:
    assert lifetimes(taught(replies=1200)) == ("5m", "5m")


@pytest.mark.parametrize(("tokens", "new"), [(20_000, 20_000), (20_000, 11_000), (20_000, 0)])
def test_a_request_that_writes_most_of_its_prompt_or_nothing_chooses_five_minutes(tokens: int, new: int) -> None:
    assert of_request(taught(replies=1200), tokens=tokens, new=new, refreshes=True) == "5m"


def test_the_more_a_request_has_to_write_the_less_an_hour_pays() -> None:
    chosen = [of_request(taught(replies=400), new=new, refreshes=True) for new in (200, 9000)]

    assert chosen == ["1h", "5m"]


def test_an_hour_does_not_pay_where_prompts_do_not_last() -> None:
    forecasts = taught(replies=1200)
    for _ in range(500):
        teach_history(forecasts, asked_tool=False, reply_tokens=300, keeps_prompt=False, keeps_reply=False)

    assert of_request(forecasts, refreshes=True) == "5m"


def test_without_a_price_no_request_chooses_an_hour() -> None:
    assert of_request(taught(replies=1200), refreshes=True, rates=None) == "5m"


def test_an_assistant_that_somebody_uses_every_half_hour_holds_its_shared_layer_for_an_hour() -> None:
    assert lifetimes(taught(arrivals=1800)) == ("1h", "5m")


def test_an_assistant_that_is_used_a_few_times_a_day_is_not_worth_an_hour() -> None:
    assert lifetimes(taught(arrivals=4 * 3600)) == ("5m", "5m")


def test_what_the_host_has_chosen_stands() -> None:
    fixed = make_prompt(turns=1, shared_ttl="1h", conversation_ttl="5m")

    assert lifetimes(taught(arrivals=20, replies=1200), fixed) == ("1h", "5m")


def test_without_a_price_nothing_is_upgraded() -> None:
    assert lifetimes(taught(arrivals=1800), rates=None) == ("5m", "5m")


def test_a_lifetime_changes_no_hash() -> None:
    short = build_request(make_prompt(turns=1), None, KEY).prefix
    long = build_request(make_prompt(turns=1, shared_ttl="1h", conversation_ttl="1h"), None, KEY).prefix

    assert short.hashes == long.hashes
    assert {point.ttl_seconds for point in long.breakpoints} == {3600}


def test_an_hour_pays_while_fewer_than_six_in_ten_late_gaps_pass_it():
    known = {"late_share": 0.25, "new_share": 0.0, "write": 1.25, "long_write": 2.0, "read": 0.05}

    assert long_ttl_pays(**known, very_late_share=0.25 * 0.61)
    assert not long_ttl_pays(**known, very_late_share=0.25 * 0.62)


def test_new_tokens_of_each_turn_weigh_against_an_hour():
    known = {"late_share": 0.04, "very_late_share": 0.0, "write": 1.25, "long_write": 2.0, "read": 0.05}

    assert long_ttl_pays(**known, new_share=0.06)
    assert not long_ttl_pays(**known, new_share=0.07)


def test_an_hour_gains_nothing_where_everybody_answers_at_once():
    assert long_ttl_gain(KeepStakes(refresh=0.05, loss=1.2), lambda seconds: math.exp(-seconds / 5)) == pytest.approx(
        0, abs=1e-9
    )
