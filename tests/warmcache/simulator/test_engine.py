from collections.abc import Callable

import pytest

from warmcache.simulator.engine import CacheUsage, Engine, Plan
from warmcache.simulator.latency import LatencyModel
from warmcache.simulator.prompt import Prompt

Build = Callable[..., Prompt]


def call(engine: Engine, prompt: Prompt, scope: str = "") -> Plan:
    """A call whose response begins at once."""
    plan = engine.begin(prompt, scope=scope)
    engine.respond(plan)
    return plan


def test_the_first_call_writes_up_to_its_breakpoint_and_the_second_reads_it(engine: Engine, prompt_of: Build):
    first = call(engine, prompt_of("a", ("b", "5m"), "question"))
    second = call(engine, prompt_of("a", ("b", "5m"), "another"))

    assert first.usage == CacheUsage(input_tokens=1003, cache_write_5m_tokens=2000)
    assert second.usage == CacheUsage(input_tokens=1003, cache_read_tokens=2000)


def test_nothing_is_cached_without_a_breakpoint(engine: Engine, prompt_of: Build):
    call(engine, prompt_of("a", "b"))

    plan = call(engine, prompt_of("a", "b"))

    assert plan.usage == CacheUsage(input_tokens=2003)


def test_one_changed_block_makes_everything_behind_it_cold(engine: Engine, prompt_of: Build):
    call(engine, prompt_of("a", "b", ("c", "5m")))

    plan = call(engine, prompt_of("a", "B", ("c", "5m")))

    assert plan.usage.cache_read_tokens == 0


def test_a_moved_breakpoint_still_finds_the_earlier_write(engine: Engine, prompt_of: Build):
    call(engine, prompt_of("a", ("b", "5m")))

    plan = call(engine, prompt_of("a", "b", "c", ("d", "5m")))

    assert plan.usage == CacheUsage(input_tokens=3, cache_read_tokens=2000, cache_write_5m_tokens=2000)


def test_look_back_checks_twenty_positions_as_in_the_documented_example(engine: Engine, prompt_of: Build):
    names = [f"block-{number}" for number in range(1, 36)]

    def conversation(length: int, *marked: int) -> Prompt:
        return prompt_of(*((name, "5m") if n in marked else name for n, name in enumerate(names[:length], 1)))

    call(engine, conversation(10, 10))
    call(engine, conversation(15, 15))

    missed = engine.begin(conversation(35, 35))
    hit = engine.begin(conversation(35, 15, 35))

    assert missed.usage.cache_read_tokens == 0
    assert hit.usage.cache_read_tokens == 15_000


@pytest.mark.parametrize(("distance", "found"), [(19, True), (20, False)])
def test_look_back_counts_the_marked_position_itself(engine: Engine, prompt_of: Build, distance: int, found: bool):
    call(engine, prompt_of(("a", "5m")))
    between = [f"b{number}" for number in range(distance - 1)]

    plan = engine.begin(prompt_of("a", *between, ("z", "5m")))

    assert plan.usage.cache_read_tokens == (1_000 if found else 0)


def test_the_longest_of_several_entries_is_read(engine: Engine, prompt_of: Build):
    call(engine, prompt_of(("a", "5m"), ("b", "5m")))

    plan = engine.begin(prompt_of(("a", "5m"), ("b", "5m"), "c"))

    assert plan.usage.cache_read_tokens == 2000


@pytest.mark.parametrize(("ttl", "seconds"), [("5m", 300), ("1h", 3600)])
def test_an_entry_lives_for_its_ttl(engine: Engine, prompt_of: Build, clock, ttl: str, seconds: int):
    call(engine, prompt_of(("a", ttl)))

    clock.advance(seconds - 1)
    alive = engine.begin(prompt_of(("a", ttl))).usage.cache_read_tokens
    clock.advance(seconds)
    dead = engine.begin(prompt_of(("a", ttl))).usage.cache_read_tokens

    assert (alive, dead) == (1000, 0)


def test_the_ttl_counts_from_the_start_of_the_request_that_wrote(engine: Engine, prompt_of: Build, clock):
    plan = engine.begin(prompt_of(("a", "5m")))
    clock.advance(240)
    engine.respond(plan)

    clock.advance(59)
    just_alive = engine.begin(prompt_of("a", ("b", "5m"))).usage.cache_read_tokens
    clock.advance(300)
    expired = engine.begin(prompt_of("a", ("b", "5m"))).usage.cache_read_tokens

    assert (just_alive, expired) == (1000, 0)


def test_a_read_renews_the_entry_from_its_own_start(engine: Engine, prompt_of: Build, clock):
    call(engine, prompt_of(("a", "5m")))

    for _ in range(5):
        clock.advance(290)
        assert engine.begin(prompt_of(("a", "5m"))).usage.cache_read_tokens == 1000


def test_a_read_renews_every_entry_on_its_path(engine: Engine, prompt_of: Build, clock):
    call(engine, prompt_of(("shared", "5m"), ("mine", "5m")))

    clock.advance(290)
    engine.begin(prompt_of("shared", ("mine", "5m")))
    clock.advance(290)

    assert engine.begin(prompt_of(("shared", "5m"), "other")).usage.cache_read_tokens == 1000


def test_a_read_by_a_five_minute_breakpoint_keeps_the_hour_of_the_entry(engine: Engine, prompt_of: Build, clock):
    call(engine, prompt_of(("a", "1h")))

    clock.advance(1800)
    engine.begin(prompt_of(("a", "5m")))
    clock.advance(3500)

    assert engine.begin(prompt_of(("a", "5m"))).usage.cache_read_tokens == 1000


def test_an_entry_cannot_be_read_before_the_response_of_its_writer_begins(engine: Engine, prompt_of: Build, clock):
    writer = engine.begin(prompt_of(("a", "5m")))
    clock.advance(5)
    too_early = engine.begin(prompt_of(("a", "5m")))
    engine.respond(writer)
    in_time = engine.begin(prompt_of(("a", "5m")))

    assert too_early.usage == CacheUsage(input_tokens=3, cache_write_5m_tokens=1000)
    assert in_time.usage == CacheUsage(input_tokens=3, cache_read_tokens=1000)


def test_concurrent_twins_both_write_and_leave_one_entry(engine: Engine, prompt_of: Build, clock):
    one = engine.begin(prompt_of(("a", "5m")))
    clock.advance(100)
    two = engine.begin(prompt_of(("a", "5m")))
    engine.respond(one)
    engine.respond(two)

    assert one.usage.cache_write_tokens == two.usage.cache_write_tokens == 1000
    assert len(engine.entries()) == 1
    clock.advance(250)
    assert engine.begin(prompt_of(("a", "5m"))).usage.cache_read_tokens == 1000


def test_a_call_that_is_dropped_before_its_response_leaves_nothing(engine: Engine, prompt_of: Build):
    engine.abandon(engine.begin(prompt_of(("a", "5m"))))

    assert engine.entries() == []


def test_a_dropped_call_writes_where_the_provider_is_said_to_go_on(prompt_of: Build, clock):
    engine = Engine(clock=clock, abandoned_calls_write=True)

    engine.abandon(engine.begin(prompt_of(("a", "5m"))))

    assert engine.begin(prompt_of(("a", "5m"))).usage.cache_read_tokens == 1000


@pytest.mark.parametrize(("model", "minimum"), [("claude-sonnet-5-5", 512), ("claude-haiku-4-5", 4096)])
def test_a_prefix_under_the_minimum_is_not_cached_and_both_counters_are_zero(
    engine: Engine, prompt_of: Build, model: str, minimum: int
):
    short = call(engine, prompt_of(("a", "5m"), tokens=minimum - 1, model=model))
    enough = call(engine, prompt_of(("b", "5m"), tokens=minimum, model=model))

    assert short.usage == CacheUsage(input_tokens=minimum - 1 + 3)
    assert enough.usage == CacheUsage(input_tokens=3, cache_write_5m_tokens=minimum)


def test_the_minimum_counts_from_the_start_of_the_prompt(engine: Engine, prompt_of: Build):
    plan = call(engine, prompt_of(("a", "5m"), ("b", "5m"), tokens=300))

    assert plan.usage == CacheUsage(input_tokens=3, cache_write_5m_tokens=600)
    assert len(engine.entries()) == 1


def test_mixed_ttls_are_billed_hour_first(engine: Engine, prompt_of: Build):
    call(engine, prompt_of(("a", "1h")))

    plan = call(engine, prompt_of(("a", "1h"), ("b", "1h"), ("c", "5m"), "d"))

    assert plan.usage == CacheUsage(
        input_tokens=1003, cache_read_tokens=1000, cache_write_1h_tokens=1000, cache_write_5m_tokens=1000
    )


def test_an_hour_breakpoint_that_was_read_is_not_billed_again(engine: Engine, prompt_of: Build):
    call(engine, prompt_of(("a", "1h"), ("b", "5m")))

    plan = call(engine, prompt_of(("a", "1h"), ("b", "5m"), ("c", "5m")))

    assert plan.usage == CacheUsage(input_tokens=3, cache_read_tokens=2000, cache_write_5m_tokens=1000)


def test_workspaces_do_not_share_entries(engine: Engine, prompt_of: Build):
    call(engine, prompt_of(("a", "5m")), scope="one")

    assert engine.begin(prompt_of(("a", "5m")), scope="two").usage.cache_read_tokens == 0
    assert engine.begin(prompt_of(("a", "5m")), scope="one").usage.cache_read_tokens == 1000


def test_models_and_speeds_do_not_share_entries(engine: Engine, prompt_of: Build):
    call(engine, prompt_of(("a", "5m")))

    other_model = engine.begin(prompt_of(("a", "5m"), model="claude-opus-5-5"))
    other_speed = engine.begin(prompt_of(("a", "5m"), speed="fast"))

    assert other_model.usage.cache_read_tokens == other_speed.usage.cache_read_tokens == 0


def test_eviction_takes_entries_before_their_time(engine: Engine, prompt_of: Build):
    call(engine, prompt_of(("a", "5m")), scope="one")
    call(engine, prompt_of(("a", "5m")), scope="two")

    evicted = engine.evict(scope="one")

    assert evicted == 1
    assert engine.begin(prompt_of(("a", "5m")), scope="one").usage.cache_read_tokens == 0
    assert engine.begin(prompt_of(("a", "5m")), scope="two").usage.cache_read_tokens == 1000


def test_a_share_of_the_entries_can_be_evicted_and_the_seed_decides_which(prompt_of: Build, clock):
    def survivors(seed: int) -> int:
        engine = Engine(clock=clock, seed=seed)
        for number in range(200):
            call(engine, prompt_of((f"prefix-{number}", "5m")))
        engine.evict(share=0.5)
        return len(engine.entries())

    assert survivors(1) == survivors(1)
    assert 60 < survivors(1) < 140


def test_advancing_ages_entries_without_the_real_clock(engine: Engine, prompt_of: Build):
    call(engine, prompt_of(("a", "5m")))

    engine.advance(301)

    assert engine.entries() == []


def test_a_replay_can_bring_its_own_times(engine: Engine, prompt_of: Build):
    plan = engine.begin(prompt_of(("a", "5m")), at=50.0)
    engine.respond(plan, at=52.0)

    assert engine.begin(prompt_of(("a", "5m")), at=51.9).usage.cache_read_tokens == 0
    assert engine.begin(prompt_of(("a", "5m")), at=52.0).usage.cache_read_tokens == 1000
    assert engine.begin(prompt_of(("a", "5m")), at=352.0).usage.cache_read_tokens == 0


def test_the_time_to_first_token_falls_when_the_prefix_is_read(prompt_of: Build, clock):
    engine = Engine(clock=clock, latency=LatencyModel("2024", noise=0))

    cold = call(engine, prompt_of(("a", "5m"), tokens=100_000))
    warm = call(engine, prompt_of(("a", "5m"), tokens=100_000))

    assert cold.ttft_seconds == pytest.approx(1.0 + 100_003 * 100e-6)
    assert warm.ttft_seconds == pytest.approx(1.0 + 3 * 100e-6 + 100_000 * 7e-6)


def test_expired_entries_do_not_pile_up(engine: Engine, prompt_of: Build, clock):
    for number in range(3000):
        call(engine, prompt_of((f"prefix-{number}", "5m")))
        clock.advance(1)

    assert len(engine._entries) < 1400


def test_reset_forgets_everything(engine: Engine, prompt_of: Build):
    call(engine, prompt_of(("a", "5m")))
    engine.advance(10)

    engine.reset()

    assert engine.entries() == []
    assert engine.now() == 1000.0
