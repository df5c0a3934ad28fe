"""One small conversation, every number computed by hand.

A system prompt of 4,000 tokens; a first request of 10,000 with a reply of 500; a second of 11,000 after ten minutes,
whose person begins to type five seconds before. Each real request ends with 3 tokens, each warm-up with 8.
"""

from decimal import Decimal

import pytest

from tests.warmcache.replay.traffic import RATES, conversation, replay, request, scene, typing
from warmcache.core.ttl import LONG_TTL_SECONDS, SHORT_TTL_SECONDS
from warmcache.replay.policies import OneHour, fixed_policy

TALK = conversation(request(0, 10_000, 4_000), request(600, 11_000, 10_500))
SIGNS = [typing(-5, -1), typing(595, 0)]
READ, WRITE, HOUR, PLAIN = (
    RATES.cache_read,
    RATES.cache_write_5m,
    RATES.cache_write_1h,
    RATES.input,
)
BARE = 10_000 * WRITE + 11_000 * WRITE + 6 * PLAIN
"""Two cold requests."""


def only(name: str):
    return replay(scene((TALK, SIGNS)), fixed_policy(name))[0]


def seconds(uncached: int, cached: int = 0) -> float:
    return 0.70 + 18e-6 * uncached + 1e-6 * cached


def test_never_writes_both_requests_and_waits_for_both():
    outcome = only("never")

    assert outcome.dollars == BARE
    assert outcome.waits == pytest.approx([seconds(10_003), seconds(11_003)])
    assert (outcome.warm_ups, outcome.sends) == (0, 2)


def test_typing_warms_what_was_said_before_and_the_request_reads_it():
    outcome = only("always-on-typing")

    first = 4_000 * WRITE + 8 * PLAIN + 4_000 * READ + 6_000 * WRITE + 3 * PLAIN
    second = 10_500 * WRITE + 8 * PLAIN + 10_500 * READ + 500 * WRITE + 3 * PLAIN
    assert outcome.dollars == first + second
    assert outcome.warm_up_dollars == 14_500 * WRITE + 16 * PLAIN
    assert outcome.waits == pytest.approx([seconds(6_003, 4_000), seconds(503, 10_500)])
    assert (outcome.warm_ups, outcome.wasted, outcome.joins) == (2, 0, 0)


def test_two_refreshes_bridge_ten_minutes_and_two_more_are_for_nobody():
    outcome = only("keepalive-2")

    # 270 s: reads the prompt, writes the reply. 540 s: reads both. Then 870 s and 1140 s, for nobody.
    refreshes = 10_000 * READ + 500 * WRITE + 10_500 * READ + 16 * PLAIN
    idle = 11_000 * READ + 500 * WRITE + 11_500 * READ + 16 * PLAIN
    requests = 10_000 * WRITE + 10_500 * READ + 500 * WRITE + 6 * PLAIN
    assert outcome.dollars == refreshes + requests + idle
    assert outcome.wasted_dollars == idle
    assert outcome.waits == pytest.approx([seconds(10_003), seconds(503, 10_500)])
    assert (outcome.warm_ups, outcome.wasted) == (4, 2)


def test_one_refresh_does_not_bridge_ten_minutes_and_is_lost():
    outcome = only("keepalive-1")

    assert outcome.waits == pytest.approx([seconds(10_003), seconds(11_003)])
    assert outcome.wasted == 2


def test_an_hour_reads_the_prompt_and_pays_twice_for_what_is_new():
    outcome = only("1h")

    assert outcome.dollars == 10_000 * HOUR + 10_000 * READ + 1_000 * HOUR + 6 * PLAIN
    assert outcome.waits == pytest.approx([seconds(10_003), seconds(1_003, 10_000)])


def test_a_send_joins_a_warm_up_in_flight_and_its_wait_counts_from_the_press():
    long = conversation(request(0, 100_000, 4_000), request(600, 101_000, 100_500))
    outcome = replay(scene((long, [typing(599, 0)])), fixed_policy("always-on-typing"))[0]

    warm_up = seconds(100_508)
    assert outcome.joins == 1
    assert outcome.waits[1] == pytest.approx(warm_up - 1 + seconds(503, 100_500))


def test_a_send_right_after_the_first_key_goes_and_pays_a_second_write():
    long = conversation(request(0, 100_000, 4_000), request(600, 101_000, 100_500))
    outcome = replay(scene((long, [typing(599.9, 0)])), fixed_policy("always-on-typing"))[0]

    assert (outcome.joins, outcome.wasted) == (0, 1)
    assert outcome.waits[1] == pytest.approx(seconds(101_003))


def test_a_history_that_was_cut_is_not_read_though_it_was_warmed():
    cut = conversation(request(0, 10_000, 4_000), request(600, 9_000, 4_000))
    outcome = replay(scene((cut, [typing(595, 0)])), fixed_policy("always-on-typing"))[0]

    assert outcome.waits[1] == pytest.approx(seconds(5_003, 4_000))
    assert outcome.wasted == 1


def test_what_an_hour_held_is_not_believed_once_the_history_is_cut_before_it():
    """The policy would let the rest lapse, for the sake of an entry that no later prompt begins with."""
    seen = []

    class Watching(OneHour):
        def request_ttl(self, view, new_tokens):
            seen.append(view.hour_tokens)
            return LONG_TTL_SECONDS if view.after < 0 else SHORT_TTL_SECONDS

    steps = [
        request(0, 10_000, 4_000),
        request(60, 11_000, 10_500),
        request(120, 12_000, 9_000),
        request(180, 13_000, 12_500),
    ]
    replay(scene((conversation(*steps), [])), Watching())

    assert seen == [0, 10_000, 10_000, 0]


def test_the_shared_layer_serves_other_conversations_and_the_rest_does_not():
    other = conversation(request(100, 10_000, 4_000), name="c2")
    first, second = replay(scene((conversation(request(0, 10_000, 4_000)), []), (other, [])), fixed_policy("never"))

    assert first.waits == pytest.approx([seconds(10_003)])
    assert second.waits == pytest.approx([seconds(6_003, 4_000)])


def test_a_long_agent_loop_finds_its_own_last_prompt():
    """More blocks than a look-back reaches: the window of positions follows."""
    requests = [
        request(30 * n, 10_000 + 1_000 * n, 9_500 + 1_000 * n, is_person=n == 0, asks_tool=True) for n in range(40)
    ]
    outcome = replay(scene((conversation(*requests), [])), fixed_policy("never"))[0]

    assert (
        outcome.dollars
        == 10_000 * WRITE
        + sum(((9_000 + 1_000 * n) * READ + 1_000 * WRITE for n in range(1, 40)), Decimal(0))
        + 40 * 3 * PLAIN
    )
    assert len(outcome.waits) == 1


def test_below_the_minimum_nothing_is_cached():
    short = conversation(request(0, 300, 100, output_tokens=50), request(20, 400, 350), shared_tokens=100)
    outcome = replay(scene((short, [])), fixed_policy("always-on-typing"))[0]

    assert outcome.dollars == (303 + 403) * PLAIN


def test_an_unknown_policy_is_named():
    with pytest.raises(ValueError, match="'sometimes'"):
        fixed_policy("sometimes")
