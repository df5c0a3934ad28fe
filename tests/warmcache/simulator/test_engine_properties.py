from hypothesis import given, settings
from hypothesis import strategies as st

from warmcache.core.catalog import facts_for
from warmcache.simulator.engine import Engine
from warmcache.simulator.prompt import Level, Prompt, PromptBlock

FACTS = facts_for("claude-sonnet-5-5")
ttls = st.sampled_from([None, None, None, 300, 3600])


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    """Prompts that share beginnings: few names, so that prefixes meet again."""
    blocks = draw(
        st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([100, 600, 5000]), ttls), min_size=1, max_size=30)
    )
    return Prompt(
        facts=FACTS,
        blocks=tuple(
            PromptBlock(digest=f"{name}{tokens}".encode(), tokens=tokens, level=Level.MESSAGES, ttl_seconds=ttl)
            for name, tokens, ttl in blocks
        ),
    )


steps = st.lists(st.tuples(prompts(), st.floats(0, 400), st.booleans()), min_size=1, max_size=12)


@given(steps)
@settings(max_examples=60, deadline=None)
def test_the_bill_always_adds_up_to_the_whole_input(calls: list[tuple[Prompt, float, bool]]) -> None:
    engine = Engine(clock=lambda: 0.0)
    at = 0.0
    for prompt, pause, responds in calls:
        at += pause
        plan = engine.begin(prompt, at=at)
        if responds:
            engine.respond(plan, at=at + 1)

        usage = plan.usage
        assert usage.total_tokens == prompt.total_tokens
        assert min(usage.input_tokens, usage.cache_read_tokens) >= 0
        assert min(usage.cache_write_5m_tokens, usage.cache_write_1h_tokens) >= 0


@given(steps)
@settings(max_examples=60, deadline=None)
def test_nothing_is_read_that_was_not_written_and_nothing_read_is_written_again(
    calls: list[tuple[Prompt, float, bool]],
) -> None:
    engine = Engine(clock=lambda: 0.0)
    at = 0.0
    readable: dict[bytes, int] = {}
    for prompt, pause, responds in calls:
        at += pause
        plan = engine.begin(prompt, at=at)

        if plan.usage.cache_read_tokens:
            written = {readable[key] for key in prompt.chain("") if key in readable}
            assert plan.usage.cache_read_tokens in written
        assert all(write.tokens > plan.usage.cache_read_tokens for write in plan.writes)
        assert all(write.tokens >= FACTS.min_prefix_tokens for write in plan.writes)
        if responds:
            engine.respond(plan, at=at)
            readable.update({write.key: write.tokens for write in plan.writes})


@given(prompts(), st.integers(0, 29))
@settings(max_examples=60, deadline=None)
def test_breakpoints_never_change_what_a_prefix_is_called(prompt: Prompt, marked: int) -> None:
    moved = Prompt(
        facts=FACTS,
        blocks=tuple(
            PromptBlock(
                digest=block.digest,
                tokens=block.tokens,
                level=block.level,
                ttl_seconds=300 if number == marked else None,
            )
            for number, block in enumerate(prompt.blocks)
        ),
    )

    assert moved.chain("scope") == prompt.chain("scope")
