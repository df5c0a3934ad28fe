"""When a server process that has died is started again."""

import pytest

from chatapp.process.restarts import EARLY_SECONDS, FORGIVEN_SECONDS, MAX_EARLY_DEATHS, Restarts
from warmcache.testing import FakeClock


@pytest.fixture
def restarts(clock: FakeClock) -> Restarts:
    return Restarts(clock.now)


def test_one_that_has_served_for_a_while_is_replaced_at_once(restarts, clock):
    ready_at = clock.now()
    clock.advance(EARLY_SECONDS)

    assert restarts.pause_after_death(ready_at=ready_at) == 0


def test_those_that_die_early_wait_longer_and_longer_until_it_is_no_use(restarts, clock):
    pauses = [restarts.pause_after_death(ready_at=None) for _ in range(MAX_EARLY_DEATHS)]

    assert pauses == [0.5, 1.0, 2.0, 4.0, None]


def test_one_that_dies_soon_after_it_was_ready_died_early(restarts, clock):
    ready_at = clock.now()
    clock.advance(EARLY_SECONDS / 2)

    assert restarts.pause_after_death(ready_at=ready_at) == 0.5


def test_early_deaths_of_long_ago_are_forgiven(restarts, clock):
    for _ in range(3 * MAX_EARLY_DEATHS):
        clock.advance(FORGIVEN_SECONDS)

        assert restarts.pause_after_death(ready_at=None) == 0.5
