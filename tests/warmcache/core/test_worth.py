"""The numbers of the decision theory, worked out by hand, and what must hold for any numbers."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import races
from warmcache.core.economics import Rates
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.outlook import is_worth_waiting, outlook_of
from warmcache.core.worth import LayerStake, Outlook, Worth, layer_stakes, weigh, weigh_joining

MODEL = "claude-sonnet-5-5"
MILLION = Decimal(1_000_000)


def rates(*, price: str = "2", read: str = "0.05") -> Rates:
    """Five-minute writes at 1.25, an hour at 2, reads as told."""
    plain = Decimal(price) / MILLION
    return Rates(
        input=plain,
        output=5 * plain,
        cache_read=Decimal(read) * plain,
        cache_write_5m=Decimal("1.25") * plain,
        cache_write_1h=2 * plain,
        version="test",
    )


def worth_of(
    *,
    cold: int = 20_000,
    hot: int = 0,
    chance: float = 0.85,
    seconds: float = 1.0,
    lapse: float = 0.0,
    value: str = "0.05",
) -> Worth:
    return weigh(
        (LayerStake(tokens=cold + hot, hot_tokens=hot),),
        Outlook(send_chance=chance, saved_seconds=seconds, lapse_chance=lapse),
        model=MODEL,
        rates=lambda model, tokens: rates(),
        value_of_second_usd=Decimal(value),
    )


@pytest.mark.parametrize(("seconds", "chance"), [(0.25, 0.89), (0.5, 0.76), (1.0, 0.58), (2.0, 0.40), (5.0, 0.20)])
def test_the_break_even_chance_falls_as_more_seconds_are_saved(seconds, chance):
    """Reads at a tenth, and a second that is worth as much as the prefix itself."""
    worth = weigh(
        (LayerStake(tokens=20_000),),
        Outlook(send_chance=1.0, saved_seconds=seconds),
        model=MODEL,
        rates=lambda model, tokens: rates(read="0.1"),
        value_of_second_usd=20_000 * rates().input,
    )

    assert worth.break_even_chance == pytest.approx(chance, abs=0.006)


def test_without_a_price_on_the_second_no_chance_is_enough():
    assert worth_of(value="0").break_even_chance > 1


@pytest.mark.parametrize(
    ("tokens", "chance", "seconds", "price"),
    [
        (15_500, 0.5, 0.8, 0.050),
        (15_500, 0.8, 0.8, 0.014),
        (15_500, 0.95, 0.8, 0.004),
    ],
)
def test_the_price_of_a_second_is_the_one_an_administrator_was_told(tokens, chance, seconds, price):
    """15.5k tokens on a $2 model; the seconds saved follow the published first-token times."""
    worth = worth_of(cold=tokens, chance=chance, seconds=seconds)

    extra = tokens * 2e-6 * (chance * 0.05 + (1 - chance) * 1.25)
    assert float(worth.extra_usd) == pytest.approx(extra)
    assert float(worth.price_of_a_second_usd) == pytest.approx(price, abs=0.002)


def test_a_partly_hot_prefix_pays_for_reading_what_is_hot():
    worth = worth_of(cold=10_000, hot=90_000, chance=0.5)

    expected = 2e-6 * (0.05 * 90_000 + (0.5 * 0.05 + 0.5 * 1.25) * 10_000)
    assert float(worth.extra_usd) == pytest.approx(expected)


def test_a_hot_prefix_far_from_expiry_is_left_alone():
    worth = worth_of(cold=0, hot=50_000, chance=1.0, seconds=0.0, value="100")

    assert not worth.is_worth_it


def test_a_hot_prefix_that_would_lapse_before_the_send_is_renewed():
    worth = worth_of(cold=0, hot=50_000, chance=0.9, seconds=0.8, lapse=0.9)

    assert worth.is_worth_it


def test_a_large_prompt_is_priced_whole_at_its_tier():
    worth = weigh(
        (LayerStake(tokens=60_000), LayerStake(tokens=60_000)),
        Outlook(send_chance=1.0, saved_seconds=1.0),
        model=MODEL,
        rates=lambda model, tokens: rates(price="10" if tokens > 100_000 else "2"),
        value_of_second_usd=Decimal("0.05"),
    )

    assert worth.cost_usd == 120_000 * rates(price="10").cache_write_5m


def test_each_layer_is_written_at_its_own_lifetime():
    worth = weigh(
        (LayerStake(tokens=10_000, ttl_seconds=3600), LayerStake(tokens=1_000)),
        Outlook(send_chance=1.0, saved_seconds=1.0),
        model=MODEL,
        rates=lambda model, tokens: rates(),
        value_of_second_usd=Decimal("0.05"),
    )

    assert worth.cost_usd == 10_000 * rates().cache_write_1h + 1_000 * rates().cache_write_5m


def test_layers_follow_from_where_they_end_and_how_far_the_prefix_is_live():
    layers = layer_stakes([(10_000, 3600), (50_000, 300), (52_000, 300)], 30_000)

    assert [layer.tokens for layer in layers] == [10_000, 40_000, 2_000]
    assert [layer.hot_tokens for layer in layers] == [10_000, 20_000, 0]
    assert [layer.ttl_seconds for layer in layers] == [3600, 300, 300]


def test_an_intent_promises_less_of_a_live_prefix_and_more_of_one_that_lapses():
    known = {"forecasts": Forecasts(), "name": "typing", "model": MODEL}

    cold = outlook_of(**known, hot_tokens=0, cold_tokens=50_000, left_seconds=0.0)
    live = outlook_of(**known, hot_tokens=50_000, cold_tokens=0, left_seconds=290.0)
    lapsing = outlook_of(**known, hot_tokens=50_000, cold_tokens=0, left_seconds=4.0)

    assert (live.saved_seconds, live.lapse_chance) == (0.0, 0.0)
    assert 0.0 < lapsing.lapse_chance < 1.0
    assert 0.0 < lapsing.saved_seconds < cold.saved_seconds
    assert cold.send_chance == pytest.approx(0.85)


def test_without_a_price_there_is_no_warm_up():
    worth = weigh(
        (LayerStake(tokens=10_000),),
        Outlook(send_chance=1.0, saved_seconds=1.0),
        model=MODEL,
        rates=lambda model, tokens: None,
        value_of_second_usd=Decimal("0.05"),
    )

    assert (worth.is_worth_it, worth.cost_usd) == (False, None)


chances = st.floats(0.0, 1.0)
tokens = st.integers(0, 400_000)
money = st.decimals("0", "1", places=3)


@given(cold=tokens, hot=tokens, chance=chances, lapse=chances, seconds=st.floats(0, 20), value=money, more=money)
def test_a_dearer_second_never_turns_a_warm_up_into_a_skip(cold, hot, chance, lapse, seconds, value, more):
    known = {"cold": cold, "hot": hot, "chance": chance, "lapse": lapse, "seconds": seconds}

    if worth_of(**known, value=str(value)).is_worth_it:
        assert worth_of(**known, value=str(value + more)).is_worth_it


@given(cold=tokens, hot=tokens, chance=chances, more=chances, lapse=chances, seconds=st.floats(0, 20), value=money)
def test_a_surer_send_never_turns_a_warm_up_into_a_skip(cold, hot, chance, more, lapse, seconds, value):
    known = {"cold": cold, "hot": hot, "lapse": lapse, "seconds": seconds, "value": str(value)}

    if worth_of(**known, chance=min(chance, more)).is_worth_it:
        assert worth_of(**known, chance=max(chance, more)).is_worth_it


@given(cold=tokens, hot=tokens, chance=chances, lapse=chances, seconds=st.floats(0, 20), value=money)
def test_the_numbers_of_a_decision_add_up(cold, hot, chance, lapse, seconds, value):
    worth = worth_of(cold=cold, hot=hot, chance=chance, lapse=lapse, seconds=seconds, value=str(value))

    assert worth.net_usd == worth.benefit_usd - worth.extra_usd
    assert worth.extra_usd == worth.cost_usd - worth.saved_later_usd
    assert worth.prefix_tokens == cold + hot
    assert worth.is_worth_it == (worth.net_usd > 0)
    if worth.is_worth_it:
        assert worth.break_even_chance < chance


def test_waiting_pays_while_the_seconds_lost_are_worth_less_than_the_writes_not_wasted():
    """After the first key, of a prefix that takes a second: five more seconds of typing make a send surer."""
    first = Outlook(send_chance=0.85, saved_seconds=1.1)
    surer = Outlook(send_chance=0.93, saved_seconds=1.1)

    def waits(value: str) -> bool:
        return is_worth_waiting(
            first,
            surer,
            reached_share=0.85,
            visit_send_chance=0.35,
            write_usd=20_000 * rates().cache_write_5m,
            value_of_second_usd=Decimal(value),
        )

    assert waits("0.005")
    assert not waits("0.50")


def join(elapsed: float, *, prefill: float = 3.4, cold: int = 0, value: str = "0.05"):
    """Half a second is one warm round trip with its read."""
    return weigh_joining(
        elapsed_seconds=elapsed,
        warm_up_seconds=0.4 + prefill,
        warm_seconds=0.5,
        go_seconds=0.4 + prefill,
        cold_tokens=cold,
        write_usd_per_token=rates().cache_write_5m,
        read_usd_per_token=rates().cache_read,
        value_of_second_usd=Decimal(value),
    )


@pytest.mark.parametrize(("elapsed", "joins"), [(0.41, False), (0.49, False), (0.51, True), (4.0, True)])
@pytest.mark.parametrize("prefill", [1.1, 3.4, 17.0])
def test_joining_is_faster_once_more_than_a_warm_round_trip_has_passed_whatever_the_size(elapsed, joins, prefill):
    assert join(elapsed, prefill=prefill).joins is joins


def test_joining_may_lose_a_little_time_to_spare_a_second_write():
    choice = join(0.45, cold=50_000)

    assert (choice.joins, choice.reason) == (True, "cheaper")
    assert choice.gain_seconds < 0


def test_a_warm_up_that_has_hardly_left_is_waited_for_if_the_second_write_costs_more_than_the_wait():
    assert join(0.02, cold=500_000).reason == "cheaper"
    assert join(0.02, cold=500_000, value="1000").reason == "not_worth_waiting"


def test_a_stalled_warm_up_is_left_at_three_times_its_expected_time_or_when_going_would_have_been_as_good():
    assert join(4.0).bound_seconds == pytest.approx(3 * 3.8 - 4.0)
    assert join(11.5).bound_seconds == pytest.approx(3.8)
    saved_seconds = float(50_000 * (rates().cache_write_5m - rates().cache_read)) / 0.05
    assert join(11.5, cold=50_000).bound_seconds == pytest.approx(3.8 + saved_seconds)


@pytest.mark.parametrize("value", ["0", "0.0001"])
def test_nobody_waits_for_ever_however_little_a_second_is_worth(value):
    assert join(1.0, cold=500_000, value=value).bound_seconds == 45


@pytest.mark.parametrize("other", ["always going", "joining without a bound"])
def test_over_all_scenarios_the_rule_costs_less_than_simpler_ways_and_little_more_than_hindsight(other):
    rule, best = races.mean_cost(races.WAYS["the rule"])[0], races.mean_cost(races.WAYS["in hindsight"])[0]

    assert best < rule < races.mean_cost(races.WAYS[other])[0]
    assert rule < 1.2 * best


@given(elapsed=st.floats(0, 60), prefill=st.floats(0, 20), cold=tokens)
def test_joining_never_loses_more_than_one_warm_round_trip(elapsed, prefill, cold):
    choice = join(elapsed, prefill=prefill, cold=cold)

    if choice.joins:
        assert choice.gain_seconds >= -0.5
