"""Foresight is never worse than any policy of the table, and often just as much as can be worked out by hand."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.warmcache.replay.traffic import MODEL, PROFILE, RATES, conversation, rates, replay, request, scene, typing
from warmcache.core.intents import Sign
from warmcache.replay.learned import Ours
from warmcache.replay.oracle import Planner, best_of
from warmcache.replay.policies import fixed_policy
from warmcache.replay.scenes import Scene

READ, WRITE = RATES.cache_read, RATES.cache_write_5m


def planned(played: Scene, value: float):
    return Planner(
        played, model=MODEL, rates=rates, profile=PROFILE, value_of_second=value, shared_ttl_seconds=300
    ).policy()


def test_it_refreshes_for_somebody_who_returns_and_lets_go_of_somebody_who_does_not():
    talk = conversation(request(0, 50_000, 4_000), request(400, 51_000, 50_500))
    outcome = replay(played := scene((talk, [])), planned(played, 0.0))[0]

    assert outcome.warm_ups == 1
    refresh = 50_000 * READ + 500 * WRITE + 8 * RATES.input
    sends = 50_000 * WRITE + 50_500 * READ + 500 * WRITE + 6 * RATES.input
    assert outcome.dollars == refresh + sends


def test_it_warms_at_the_first_key_only_where_a_second_is_worth_it():
    talk = conversation(request(0, 50_000, 4_000), request(90_000, 51_000, 50_500))
    played = scene((talk, [typing(89_990, 0)]))

    assert replay(played, planned(played, 0.0))[0].warm_ups == 0
    assert replay(played, planned(played, 0.05))[0].warm_ups == 1


def test_it_never_warms_for_a_message_that_is_given_up():
    talk = conversation(request(0, 50_000, 4_000))
    played = scene((talk, [typing(1000, 0)]))

    assert replay(played, planned(played, 1.0))[0].warm_ups == 0


def test_an_hour_for_little_is_better_than_many_refreshes():
    """Fifty minutes of silence: eleven refreshes, or one that writes the reply for an hour."""
    talk = conversation(request(0, 50_000, 4_000), request(3000, 51_000, 50_500))
    played = scene((talk, []))
    plan = planned(played, 0.05)

    outcome = replay(played, plan)[0]

    assert outcome.warm_ups <= 1
    assert outcome.waits[1] == pytest.approx(0.70 + 18e-6 * 503 + 1e-6 * 50_500, rel=0.02)


@st.composite
def scenes(draw) -> Scene:
    """Append-only conversations, each on its own provider: there the plan is exact."""
    at, prompt, kept = 0.0, draw(st.integers(5_000, 120_000)), 4_000
    requests, signs = [], []
    for n in range(draw(st.integers(1, 5))):
        lead = draw(st.sampled_from([0.2, 1.0, 4.0, 20.0]))
        signs.append(typing(at - lead, n - 1))
        if n and draw(st.booleans()):
            signs.append(typing(at - lead - draw(st.floats(1, 10)), n - 1, Sign.OPEN))
        output = draw(st.integers(1, 3_000))
        requests.append(request(at, prompt, kept, output_tokens=output))
        kept = prompt + output
        prompt = kept + draw(st.integers(1, 5_000))
        at += draw(st.sampled_from([40.0, 250.0, 290.0, 320.0, 700.0, 2_000.0, 3_700.0, 9_000.0]))
    signs.append(typing(at, len(requests) - 1))
    signs.sort(key=lambda sign: sign.at)
    return scene((conversation(*requests), signs), is_shared=False)


@settings(max_examples=60, deadline=None)
@given(played=scenes(), value=st.sampled_from([0.0, 0.01, 0.05, 0.2, 1.0]))
def test_no_policy_is_better_than_the_plan_on_its_own(played, value):
    def worth(outcomes) -> float:
        return -float(outcomes[0].dollars) - value * outcomes[0].seconds

    plan = planned(played, value)
    found = worth(replay(played, plan))

    ours = Ours(model=MODEL, rates=rates, value_of_second_usd=Decimal(str(value)), has_common_clock=False)
    others = {name: fixed_policy(name) for name in ("never", "1h", "always-on-typing", "on-open", "keepalive-3")}
    for name, policy in (others | {"ours": ours}).items():
        learner = ours if policy is ours else None
        assert found >= worth(replay(played, policy, learner=learner)) - 1e-6, name
    assert found == pytest.approx(plan.promised, abs=1e-6)


def test_the_best_run_is_chosen_for_each_conversation():
    assert best_of({"a": [1.0, 5.0], "b": [2.0, 4.0]}) == ["b", "a"]
