import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from warmcache.core.beliefs import REFRESH_BELOW_FRACTION, believed_warmth, situation_of
from warmcache.core.catalog import facts_for
from warmcache.core.decide import Action, Decision, Limits, decide
from warmcache.core.economics import Rates
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.intents import WEIGHED_ELSEWHERE, Intent
from warmcache.core.outcomes import WarmthState
from warmcache.core.ports import Capabilities, Sighting
from warmcache.core.prefix import Breakpoint, Layer, Position, Prefix, Turn
from warmcache.core.reasons import TO_WARM, Reason
from warmcache.core.upstreams import Upstream
from warmcache.testing import make_prefix, make_prompt

NOW = 1_000_000.0
OPEN = Limits(intents=frozenset(Intent))
CAPABLE = Capabilities(upstream=Upstream.ANTHROPIC)
RATES = Rates(
    input=Decimal("0.000002"),
    output=Decimal("0.00001"),
    cache_read=Decimal("0.0000001"),
    cache_write_5m=Decimal("0.0000025"),
    cache_write_1h=Decimal("0.000004"),
    version="test",
)
PREFIX = make_prefix(turns=2)
DEEPEST = PREFIX.breakpoints[-1]


def decided(prefix: Prefix = PREFIX, sightings: dict[str, Sighting] | None = None, **changes: Any) -> Decision:
    given_ = {
        "limits": OPEN,
        "capabilities": CAPABLE,
        "rates": lambda model, tokens: RATES,
        "forecasts": Forecasts(),
        "intent": Intent.TYPING,
        **changes,
    }
    return decide(situation_of(prefix, sightings or {}, NOW), **given_)


def live(*points: Breakpoint, seconds: float = 300) -> dict[str, Sighting]:
    return {point.prefix_hash: Sighting(expires_at=NOW + seconds) for point in points}


def test_a_cold_prefix_is_warmed_with_every_number_that_was_used() -> None:
    decision = decided()

    assert (decision.action, decision.reason, decision.state()) == (Action.WARM, "cold", WarmthState.WARMING)
    assert decision.cost_usd == PREFIX.prefix_tokens * RATES.cache_write_5m
    numbers = decision.numbers
    assert numbers.keys() == {
        *("forecast", "sample_size", "send_chance", "break_even_chance", "saved_seconds", "lapse_chance"),
        *("prefix_tokens", "hot_tokens", "value_of_second_usd", "cost_usd", "saved_later_usd", "benefit_usd"),
        *("net_usd", "price_of_a_second_usd", "cap_usd", "price_version"),
    }
    assert (numbers["forecast"], numbers["send_chance"], numbers["value_of_second_usd"]) == ("typing", 0.85, "0.05")
    assert json.loads(json.dumps(numbers)) == numbers


def near_its_end(*, shared_seconds: float) -> Decision:
    """A short conversation behind a large shared layer; its own entry has ten seconds left."""
    prefix = make_prefix(turns=2, system_tokens=40_000)
    shared, *_, deepest = prefix.breakpoints
    return decided(prefix, live(deepest, seconds=10) | live(shared, seconds=shared_seconds))


def test_a_shared_layer_that_others_keep_alive_is_not_read_again_for_a_short_conversation() -> None:
    alone, among_others = near_its_end(shared_seconds=10), near_its_end(shared_seconds=290)

    assert (alone.action, among_others.action) == (Action.WARM, Action.SKIP)
    assert alone.worth is not None
    assert among_others.worth is not None
    assert alone.worth.lapse_chance == among_others.worth.lapse_chance > 0
    assert alone.worth.saved_later_usd > 5 * among_others.worth.saved_later_usd


def test_what_a_gate_refused_was_not_weighed() -> None:
    assert decided(limits=replace(OPEN, is_enabled=False)).numbers == {}


def test_where_people_seldom_send_it_is_not_worth_it() -> None:
    forecasts = Forecasts()
    for _ in range(40):
        forecasts.intent("typing").observe(sent=False)

    decision = decided(forecasts=forecasts)

    assert (decision.action, decision.reason) == ("skip", "not_worth_it")
    assert decision.sample_size > 39


def test_where_a_second_is_worth_nothing_a_cold_prefix_is_not_warmed_for_one_person() -> None:
    assert decided(limits=replace(OPEN, value_of_second_usd=Decimal(0))).reason == "not_worth_it"


def test_a_model_that_is_fast_is_not_worth_it() -> None:
    forecasts = Forecasts()
    for tokens in range(1000, 60_000, 1000):
        forecasts.prefill(PREFIX.model).observe(uncached_tokens=tokens, cached_tokens=0, ttft_seconds=0.3)
        forecasts.prefill(PREFIX.model).observe(uncached_tokens=0, cached_tokens=tokens, ttft_seconds=0.3)

    assert decided(forecasts=forecasts, limits=replace(OPEN, value_of_second_usd=Decimal("0.01"))).action == "skip"


def test_the_first_key_waits_for_twenty_characters_where_seconds_are_cheap() -> None:
    cheap = {"limits": replace(OPEN, value_of_second_usd=Decimal("0.02")), "prefix": make_prefix()}

    first, later = decided(**cheap, chars=1), decided(**cheap, chars=20)

    assert (first.reason, later.action, later.numbers["forecast"]) == ("not_yet", "warm", "typing_20")


@pytest.mark.parametrize("intent", sorted(WEIGHED_ELSEWHERE))
def test_what_was_weighed_elsewhere_passes_the_gates_alone(intent: Intent) -> None:
    limits = replace(OPEN, value_of_second_usd=Decimal(0))

    assert decided(intent=intent, limits=limits).action == "warm"
    assert decided(intent=intent, limits=replace(limits, max_cost_usd=Decimal(0))).reason == "over_cost_cap"


def test_half_warm_is_warmed_for_the_cold_part() -> None:
    shared = PREFIX.breakpoints[0]

    decision = decided(sightings=live(shared))

    assert (decision.action, decision.reason, decision.hot_tokens) == ("warm", "partly_cold", shared.prefix_tokens)
    assert decision.cold_tokens == PREFIX.prefix_tokens - shared.prefix_tokens
    assert decision.cost_usd == (shared.prefix_tokens * RATES.cache_read + decision.cold_tokens * RATES.cache_write_5m)


def test_an_entry_near_its_end_is_renewed_for_the_price_of_a_read() -> None:
    decision = decided(sightings=live(DEEPEST, seconds=5))

    assert (decision.action, decision.reason) == ("warm", "expiring")
    assert decision.cost_usd == PREFIX.prefix_tokens * RATES.cache_read


@pytest.mark.parametrize("seconds", [61, 40])
def test_an_entry_that_outlives_the_typing_is_left_alone(seconds: int) -> None:
    decision = decided(sightings=live(DEEPEST, seconds=seconds))

    assert (decision.action, decision.reason, decision.expires_at) == ("skip", "already_warm", NOW + seconds)
    assert decision.state() is WarmthState.WARM


def test_the_last_reply_alone_is_not_worth_a_call() -> None:
    reply = ({"type": "text", "text": "x" * 100},)
    prompt = make_prompt(turns=2)
    grown = make_prefix(replace(prompt, history=(*prompt.history, Turn(role="user", blocks=reply))))

    decision = decided(grown, sightings=live(DEEPEST))

    assert (decision.action, decision.reason) == ("skip", "already_warm")
    assert decision.hot_tokens == DEEPEST.prefix_tokens


def test_the_cap_is_the_most_that_may_be_spent() -> None:
    cost = decided().cost_usd
    assert cost is not None

    at_the_cap = decided(limits=replace(OPEN, max_cost_usd=cost))
    above_it = decided(limits=replace(OPEN, max_cost_usd=cost - Decimal("0.00000001")))

    assert (at_the_cap.action, above_it.reason) == ("warm", "over_cost_cap")


LEASED = {DEEPEST.prefix_hash: Sighting(lease_owner="somebody", called_at=NOW)}
UNCACHEABLE = {DEEPEST.prefix_hash: Sighting(is_uncacheable=True)}
GATES: list[tuple[str, dict[str, Any]]] = [
    ("warming_off", {"limits": replace(OPEN, is_enabled=False)}),
    ("intent_off", {"limits": replace(OPEN, intents=frozenset())}),
    ("endpoint_without_prewarm", {"capabilities": replace(CAPABLE, accepts_zero_max_tokens=False)}),
    ("manual_thinking", {"prefix": replace(PREFIX, obstacle=Reason.MANUAL_THINKING)}),
    ("below_minimum_tokens", {"prefix": make_prefix(system_tokens=400)}),
    ("not_cacheable", {"sightings": UNCACHEABLE}),
    ("in_flight", {"sightings": LEASED}),
    ("already_warm", {"sightings": live(DEEPEST)}),
    ("unknown_price", {"rates": lambda model, tokens: None}),
    ("over_cost_cap", {"limits": replace(OPEN, max_cost_usd=Decimal("0.0001"))}),
]


@pytest.mark.parametrize(("reason", "change"), GATES, ids=[reason for reason, _ in GATES])
def test_every_gate_says_its_own_reason(reason: str, change: dict[str, Any]) -> None:
    decision = decided(**change)

    assert (decision.action, decision.reason) == (Action.SKIP, reason)
    assert decision.prefix_tokens > 0


@pytest.mark.parametrize("first", range(len(GATES) - 1), ids=[reason for reason, _ in GATES[:-1]])
def test_the_first_gate_that_says_no_gives_the_reason(first: int) -> None:
    changes: dict[str, Any] = {}
    for _, change in reversed(GATES[first:]):
        if "sightings" in change and "sightings" in changes:
            here, behind = next(iter(change["sightings"].values())), next(iter(changes["sightings"].values()))
            changes["sightings"] = {DEEPEST.prefix_hash: _both(here, behind)}
        elif "limits" in change and "limits" in changes:
            changes["limits"] = _stricter(change["limits"], changes["limits"])
        else:
            changes.update(change)

    assert decided(**changes).reason == GATES[first][0]


def _stricter(first: Limits, second: Limits) -> Limits:
    return Limits(
        is_enabled=first.is_enabled and second.is_enabled,
        intents=first.intents & second.intents,
        max_cost_usd=min(first.max_cost_usd, second.max_cost_usd),
    )


def _both(first: Sighting, second: Sighting) -> Sighting:
    return Sighting(
        expires_at=first.expires_at or second.expires_at,
        lease_owner=first.lease_owner or second.lease_owner,
        is_uncacheable=first.is_uncacheable or second.is_uncacheable,
    )


def test_a_prefix_without_any_block_is_below_every_minimum() -> None:
    assert decided(Prefix(model="claude-opus-5-5", breakpoints=())).reason == "below_minimum_tokens"


def test_a_skip_while_another_warms_is_shown_as_warming() -> None:
    assert decided(sightings=LEASED).state() is WarmthState.WARMING


def test_an_hour_costs_the_price_of_an_hour_and_only_where_it_is_asked_for() -> None:
    prefix = make_prefix(turns=1, shared_ttl="1h")
    shared, conversation = prefix.breakpoints

    decision = decided(prefix)

    assert decision.cost_usd == (
        shared.prefix_tokens * RATES.cache_write_1h
        + (conversation.prefix_tokens - shared.prefix_tokens) * RATES.cache_write_5m
    )


def test_an_expired_sighting_is_no_warmth() -> None:
    assert decided(sightings=live(DEEPEST, seconds=0)).reason == "cold"


def test_a_look_back_finds_the_entry_of_an_earlier_position() -> None:
    inside = DEEPEST.look_back[2]

    layers = believed_warmth(PREFIX, {inside.prefix_hash: Sighting(expires_at=NOW + 200)}, NOW)

    assert layers[-1].hot_tokens == inside.prefix_tokens


layer_sizes = st.lists(st.integers(1, 120_000), min_size=1, max_size=4)
sighted = st.lists(
    st.builds(
        Sighting,
        expires_at=st.one_of(st.none(), st.floats(NOW - 100, NOW + 4000)),
        lease_owner=st.sampled_from([None, None, "other"]),
        is_uncacheable=st.sampled_from([False, False, True]),
    ),
    min_size=4,
    max_size=4,
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Prefix, dict[str, Sighting], Limits, Capabilities]:
    total, points = 0, []
    hour_layers = draw(st.integers(0, 4))
    for number, size in enumerate(draw(layer_sizes)):
        total += size
        position = Position(prefix_hash=f"hash {number}", prefix_tokens=total)
        points.append(
            Breakpoint(
                layer=list(Layer)[number],
                prefix_hash=position.prefix_hash,
                prefix_tokens=total,
                ttl_seconds=3600 if number < hour_layers else 300,
                look_back=(position,),
            )
        )
    prefix = Prefix(
        model=draw(st.sampled_from(["claude-sonnet-5-5", "claude-haiku-4-5", "not-known"])),
        breakpoints=tuple(points),
        obstacle=draw(st.sampled_from([None, None, Reason.MANUAL_THINKING])),
    )
    sightings = {point.prefix_hash: sighting for point, sighting in zip(points, draw(sighted), strict=False)}
    limits = replace(OPEN, is_enabled=draw(st.booleans()), max_cost_usd=Decimal(draw(st.integers(0, 100))) / 100)
    return (
        prefix,
        sightings,
        limits,
        Capabilities(upstream=Upstream.ANTHROPIC, accepts_zero_max_tokens=draw(st.booleans())),
    )


@given(situations())
def test_nothing_is_warmed_against_the_operators_will_or_in_vain(
    situation: tuple[Prefix, dict[str, Sighting], Limits, Capabilities],
) -> None:
    prefix, sightings, limits, capabilities = situation

    decision = decided(prefix, sightings, limits=limits, capabilities=capabilities)

    if decision.action is Action.WARM:
        deepest = sightings.get(prefix.breakpoints[-1].prefix_hash, Sighting())
        assert decision.reason in TO_WARM
        assert limits.is_enabled
        assert capabilities.accepts_zero_max_tokens
        assert prefix.obstacle is None
        assert prefix.prefix_tokens >= facts_for(prefix.model).min_prefix_tokens
        assert decision.cost_usd is not None
        assert decision.cost_usd <= limits.max_cost_usd
        assert deepest.lease_owner is None
        assert not deepest.is_uncacheable


@given(situations())
def test_already_warm_means_enough_of_it_for_long_enough(
    situation: tuple[Prefix, dict[str, Sighting], Limits, Capabilities],
) -> None:
    prefix = replace(situation[0], obstacle=None)
    free = {name: replace(seen, lease_owner=None, is_uncacheable=False) for name, seen in situation[1].items()}
    minimum = facts_for(prefix.model).min_prefix_tokens

    decision = decided(prefix, free)

    left_seconds = (decision.expires_at or NOW) - NOW
    is_enough = decision.cold_tokens < minimum <= prefix.prefix_tokens
    is_for_long = left_seconds >= REFRESH_BELOW_FRACTION * prefix.breakpoints[-1].ttl_seconds
    is_live = is_enough and decision.hot_tokens > 0
    if decision.reason == "already_warm":
        assert is_live
    if is_live and is_for_long and decision.reason != "already_warm":
        assert decision.action == "warm" and decision.worth is not None and decision.worth.net_usd > 0


@given(situations())
def test_every_token_is_paid_for_once_either_read_or_written(
    situation: tuple[Prefix, dict[str, Sighting], Limits, Capabilities],
) -> None:
    prefix = replace(situation[0], obstacle=None)
    sightings = {name: replace(seen, lease_owner=None, is_uncacheable=False) for name, seen in situation[1].items()}
    decision = decided(prefix, sightings)
    assume(decision.worth is not None)
    one_price = replace(RATES, cache_read=Decimal(1), cache_write_5m=Decimal(1), cache_write_1h=Decimal(1))

    again = decided(prefix, sightings, rates=lambda model, tokens: one_price)

    assert again.cost_usd == prefix.prefix_tokens
    assert 0 <= decision.hot_tokens <= prefix.prefix_tokens
