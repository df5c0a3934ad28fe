"""After an edit the provider counts the shared layer, once and off any request."""

from dataclasses import replace

import pytest

from warmcache import services
from warmcache.core.errors import UpstreamUnavailable
from warmcache.core.failures import Failure
from warmcache.core.prefix import Prompt, Request
from warmcache.services import SharedLayer
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime, make_prompt
from warmcache.warmups.counting import count_soon

pytestmark = pytest.mark.django_db(transaction=True)

PROMPT = make_prompt(system_tokens=5000)


async def edited(fake: FakeRuntime, prompt: Prompt | None, *, times: int = 1) -> list[Request]:
    """The requests that the provider was asked to count."""
    counted: list[Request] = []

    async def count_tokens(request: Request) -> int:
        counted.append(request)
        return 3456 + 6

    fake.provider.count_tokens = count_tokens  # type: ignore[method-assign]
    for _ in range(times):
        count_soon(fake.runtime, SharedLayer(label="guide", load=lambda: prompt))
    fake.clock.advance(2)
    for task in fake.runtime.timers.fire_due():
        await task
    return counted


def counting(fake: FakeRuntime) -> None:
    fake.provider.capabilities = replace(fake.provider.capabilities, counts_tokens=True)


async def test_an_edit_in_several_steps_is_counted_once_and_known_before_any_bill(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock, learns=True) as fake:
        counting(fake)

        counted = await edited(fake, PROMPT, times=3)
        again = await edited(fake, PROMPT)

        assert (len(counted), len(again), fake.provider.sent) == (1, 0, [])
        assert services.outline(PROMPT, label="guide").prefix_tokens == 3456


async def test_nothing_is_counted_where_the_provider_does_not_or_the_layer_is_gone(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock, learns=True) as fake:
        assert await edited(fake, PROMPT) == []
        counting(fake)
        assert await edited(fake, None) == []


async def test_a_count_that_fails_leaves_the_estimate(clock: FakeClock) -> None:
    async def refuses(request: Request) -> int:
        raise UpstreamUnavailable(Failure.TIMED_OUT, "too slow")

    async with fake_runtime(clock=clock, learns=True) as fake:
        counting(fake)
        fake.provider.count_tokens = refuses  # type: ignore[method-assign]
        count_soon(fake.runtime, SharedLayer(label="guide", load=lambda: PROMPT))
        fake.clock.advance(2)
        for task in fake.runtime.timers.fire_due():
            await task

        assert services.outline(PROMPT, label="guide").prefix_tokens == pytest.approx(5000, abs=10)
