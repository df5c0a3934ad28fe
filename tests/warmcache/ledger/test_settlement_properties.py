"""Whatever people and the provider do: every line is settled in the end, and the books balance."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from warmcache import services
from warmcache.core.errors import UpstreamUnavailable
from warmcache.core.prefix import Prompt
from warmcache.models import Outcome, UsageRecord, WarmUp, WarmUpLine
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime, make_prompt, make_turn

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One runtime with fakes; time moves when a step says so."""

    fake: FakeRuntime
    clock: FakeClock

    async def warm(self, prompt: Prompt, place: str) -> None:
        attempt = await services.prewarm_prefix(prompt, intent="manual", place=place)
        if attempt.finished is not None:
            await attempt.finished()

    async def send(self, prompt: Prompt, place: str) -> None:
        stream = services.stream_response(prompt, make_turn(), max_tokens=9, place=place)
        async with stream as response:
            [event async for event in response]


Step = Callable[[Scene], Coroutine[Any, Any, None]]

prompts = st.sampled_from(
    [
        make_prompt(),
        make_prompt(name="ann", turns=1),
        make_prompt(name="ann", turns=1, draft_tokens=2000),
        make_prompt(name="ann", turns=2),
        make_prompt(name="bob", turns=1),
        make_prompt(name="bob", turns=1, shared_ttl="1h"),
        make_prompt(name="bob", turns=2, system_tokens=300),
    ]
)
"""Few, so that requests often meet what was warmed."""

places = st.sampled_from(["", "a conversation"])


def warming(prompt: Prompt, place: str) -> Step:
    return lambda scene: scene.warm(prompt, place)


def sending(prompt: Prompt, place: str) -> Step:
    return lambda scene: scene.send(prompt, place)


def waiting(seconds: int) -> Step:
    async def step(scene: Scene) -> None:
        scene.clock.advance(seconds)
        await services.flush()

    return step


async def evicting(scene: Scene) -> None:
    scene.fake.provider.evict()


async def failing(scene: Scene) -> None:
    scene.fake.provider.fail(UpstreamUnavailable("server_error", "no"), kind="warm_up")


async def warming_in_vain(scene: Scene) -> None:
    scene.fake.provider.reports_nothing = True
    await scene.warm(make_prompt(name="cem", turns=1), "")
    scene.fake.provider.reports_nothing = False


steps = st.one_of(
    st.builds(warming, prompts, places),
    st.builds(warming, prompts, places),
    st.builds(sending, prompts, places),
    st.builds(sending, prompts, places),
    st.sampled_from([1, 200, 301]).map(waiting),
    st.sampled_from([evicting, failing, warming_in_vain]),
)


async def play(story: list[Step]) -> None:
    clock = FakeClock()
    async with fake_runtime(clock=clock, value_of_second_usd=Decimal(1000)) as fake:
        scene = Scene(fake=fake, clock=clock)
        for step in story:
            await step(scene)
        clock.advance(3601)
        await services.flush()


@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(story=st.lists(steps, min_size=6, max_size=14))
def test_spent_is_the_sum_of_lines_credit_is_what_was_written_and_nothing_stays_open(story: list[Step]) -> None:
    for model in (WarmUpLine, WarmUp, UsageRecord):
        model.objects.all().delete()

    asyncio.run(play(story))

    assert not WarmUpLine.objects.filter(outcome=Outcome.PENDING).exists()
    assert not WarmUp.objects.filter(outcome=Outcome.PENDING).exists()
    assert not WarmUp.objects.filter(lines=None).exists()
    assert not WarmUpLine.objects.filter(settled_at=None).exists()
    for warm_up in WarmUp.objects.annotate(lines_usd=Sum("lines__cost_usd"), written=Sum("lines__written_tokens")):
        assert (warm_up.lines_usd, warm_up.written) == (warm_up.cost_usd, warm_up.cache_write_tokens)
    for line in WarmUpLine.objects.select_related("request"):
        is_read = line.outcome in (Outcome.HIT, Outcome.JOINED)
        assert line.credited_tokens <= line.written_tokens
        assert (line.request is not None) == (line.outcome not in (Outcome.UNUSED, Outcome.FAILED, Outcome.CANCELLED))
        assert line.credited_tokens == 0 or (is_read and line.credited_tokens <= line.request.cache_read_tokens)
