"""What is believed after a call: an entry lives for what it was written with, not for what a reader asks."""

from dataclasses import replace
from typing import Any

from warmcache import services
from warmcache.core.prefix import Prompt
from warmcache.testing import FakeClock, FakeRuntime, make_prompt, make_turn


async def ask(prompt: Prompt) -> None:
    async with services.stream_response(prompt, make_turn(), max_tokens=10) as response:
        async for _ in response:
            pass


async def believed_until(prompt: Prompt) -> Any:
    return (await services.warmth_of(services.outline(prompt))).expires_at


SHORT = make_prompt()
LONG = replace(SHORT, shared_ttl="1h")


async def test_an_entry_written_for_five_minutes_is_not_believed_for_an_hour(
    fake: FakeRuntime, clock: FakeClock
) -> None:
    await ask(SHORT)
    clock.advance(100)
    await ask(LONG)

    assert await believed_until(LONG) == clock.now() + 300


async def test_an_entry_written_for_an_hour_is_renewed_for_an_hour(fake: FakeRuntime, clock: FakeClock) -> None:
    await ask(LONG)
    clock.advance(1800)
    await ask(LONG)

    assert await believed_until(LONG) == clock.now() + 3600


async def test_an_entry_written_for_an_hour_outlives_a_reader_who_asks_for_five_minutes(
    fake: FakeRuntime, clock: FakeClock
) -> None:
    await ask(LONG)
    written_at = clock.now()
    clock.advance(600)
    await ask(SHORT)

    assert await believed_until(SHORT) == written_at + 3600
