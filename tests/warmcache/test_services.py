"""What the public functions take, and what they refuse at the call."""

import asyncio
from typing import Any

import pytest

from warmcache import services
from warmcache.core.usage import Usage
from warmcache.runtime import wiring as runtimes
from warmcache.testing import FakeRuntime, fake_runtime, make_prefix, make_prompt, make_turn


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"intent": "typping"}, "'typping' is no intent. There are open, typing, attach"),
        ({"subject": "ann\0"}, "`subject` has a character that no database stores"),
        ({"label": "half \ud83d"}, "`label` has a character that no database stores"),
        ({"place": 7}, "`place` is a text, not int"),
    ],
)
async def test_words_that_no_row_could_hold_are_refused_at_the_call(
    fake: FakeRuntime, words: dict[str, Any], sentence: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        await services.prewarm_prefix(make_prompt(), **{"intent": "typing", **words})

    assert fake.provider.sent == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"purpose": "chatter"}, "'chatter' is no purpose. There are reply, title"),
        ({"subject": "ann\0"}, "no database stores"),
        ({"temperature": 0.2}, "`temperature` is not sent"),
        ({"service_tier": "auto"}, "no argument 'service_tier'. What else the body is to hold"),
    ],
)
async def test_a_request_that_could_not_be_recorded_or_sent_is_refused_at_the_call(
    fake: FakeRuntime, arguments: dict[str, Any], sentence: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        services.stream_response(make_prompt(), make_turn(), max_tokens=10, **arguments)


@pytest.mark.django_db(transaction=True)
async def test_long_words_cost_no_row() -> None:
    async with fake_runtime() as fake:
        async with services.stream_response(make_prompt(), "Now?", max_tokens=10, label="l" * 200) as response:
            assert [event async for event in response]
        await services.flush()
        assert fake.runtime.ledger.dropped_writes == 0
    assert response.result.settlement.cost_usd is not None


@pytest.mark.django_db(transaction=True)
async def test_what_was_billed_is_expected_on_the_loop_and_in_every_other_thread() -> None:
    async with fake_runtime(learns=True):
        runtimes.adopt_loop()
        prompt, blocks = make_prompt(), make_turn("And the day after?")
        priors = services.expected_tokens(prompt, label="desk")
        learning, prefix = runtimes.get_runtime().learning, services.outline(prompt, label="desk")

        learning.saw_bill("desk", prefix, Usage(cache_write_tokens=priors - 500))
        here = services.expected_tokens(prompt, blocks, label="desk")
        there = await asyncio.to_thread(services.expected_tokens, prompt, blocks, label="desk")

    assert here == there
    assert priors - 500 < here < priors - 450


def test_without_a_server_what_is_published_is_expected() -> None:
    assert services.expected_tokens(make_prompt()) == make_prefix().prefix_tokens
