"""The test tools themselves: a fake that is too kind proves nothing."""

import asyncio

import pytest

from warmcache.core.errors import UpstreamUnavailable
from warmcache.core.ports import StreamBegan
from warmcache.core.prefix import Prompt, Request, build_request
from warmcache.core.usage import Usage
from warmcache.testing import KEY, FakeClock, FakeProvider, make_prefix, make_prompt, make_turn


@pytest.fixture
def provider(clock: FakeClock) -> FakeProvider:
    return FakeProvider(clock=clock)


def built(prompt: Prompt, text: str | None = None) -> Request:
    return build_request(prompt, make_turn(text) if text else None, KEY)


async def sent(provider: FakeProvider, prompt: Prompt, text: str = "Hi") -> Usage:
    async with provider.stream(built(prompt, text), max_tokens=9) as arriving:
        async for events in arriving:
            for event in events:
                if isinstance(event, StreamBegan):
                    return event.usage
    raise AssertionError("it never began")


async def warmed(provider: FakeProvider, prompt: Prompt) -> Usage:
    return (await provider.prewarm(built(prompt))).usage


async def test_it_writes_reads_and_renews_as_documented(provider: FakeProvider, clock: FakeClock) -> None:
    first = await warmed(provider, make_prompt())
    clock.advance(200)
    second = await sent(provider, make_prompt())
    clock.advance(200)
    third = await sent(provider, make_prompt())
    clock.advance(301)
    fourth = await sent(provider, make_prompt())

    assert first.cache_write_tokens == second.cache_read_tokens
    assert third.cache_read_tokens >= first.cache_write_tokens
    assert fourth.cache_read_tokens == 0


async def test_it_caches_nothing_below_the_minimum(provider: FakeProvider) -> None:
    assert (await warmed(provider, make_prompt(system_tokens=300))).cached_tokens == 0


async def test_an_hour_is_written_as_an_hour(provider: FakeProvider) -> None:
    usage = await warmed(provider, make_prompt(turns=1, shared_ttl="1h"))

    assert usage.cache_write_1h_tokens == make_prefix(turns=1).breakpoints[0].prefix_tokens
    assert usage.cache_write_tokens == make_prefix(turns=1).prefix_tokens


async def test_an_entry_can_be_read_only_once_its_writer_is_answered(provider: FakeProvider) -> None:
    provider.hold_warm_ups()
    warming = asyncio.create_task(warmed(provider, make_prompt()))
    await provider.warm_ups_in_flight()
    early = await sent(provider, make_prompt())
    provider.release_warm_ups()
    await warming

    assert early.cache_read_tokens == 0
    assert provider.writes[make_prefix().breakpoints[0].prefix_hash] == 2


async def test_troubles_come_in_order_and_only_to_whom_they_are_meant_for(provider: FakeProvider) -> None:
    provider.fail(UpstreamUnavailable("overloaded", "busy"), kind="reply")
    await warmed(provider, make_prompt())

    with pytest.raises(UpstreamUnavailable):
        await sent(provider, make_prompt())

    assert (await sent(provider, make_prompt())).cache_read_tokens > 0
    assert [call.usage is None for call in provider.sent] == [False, True, False]


async def test_a_stall_lasts_until_it_is_given_up(provider: FakeProvider) -> None:
    provider.stall()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await warmed(provider, make_prompt())

    assert provider.open_calls == 0


@pytest.mark.parametrize("tokens", [600, 4000, 60_000])
def test_a_prompt_is_as_large_as_it_was_ordered(tokens: int) -> None:
    assert make_prefix(system_tokens=tokens).prefix_tokens == pytest.approx(tokens, rel=0.02)


def test_prompts_of_the_same_name_are_the_same_and_of_another_share_the_system_prompt() -> None:
    ann, again, bob = (make_prefix(name=name, turns=1) for name in ("ann", "ann", "bob"))

    assert ann == again
    assert ann.breakpoints[0] == bob.breakpoints[0]
    assert ann.breakpoints[1] != bob.breakpoints[1]
