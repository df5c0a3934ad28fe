"""Why a prompt that was warm was not read, as the provider says: asked for, understood and stored."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from tests.warmcache.simulated import Simulated, simulated
from warmcache import services
from warmcache.background.database import in_database_thread
from warmcache.core.origin import Origin
from warmcache.core.ports import StreamBegan
from warmcache.core.prefix import Prompt, build_request
from warmcache.models import UsageRecord, WarmUp
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime, make_prefix, make_prompt, make_turn
from warmcache.upstream.earlier_answers import MAX_ANSWERS, Answers


@pytest.fixture
async def side() -> AsyncIterator[Simulated]:
    async with simulated() as found:
        yield found


async def warm(side: Simulated, prompt: Prompt) -> str:
    return (await side.provider.prewarm(build_request(prompt, None, side.config.prefix_key))).response_id


async def send(side: Simulated, prompt: Prompt, earlier_id: str | None) -> StreamBegan:
    side.next_replies("Yes.")
    request = build_request(prompt, make_turn(), side.config.prefix_key)
    async with side.provider.stream(request, max_tokens=20, earlier_id=earlier_id) as arriving:
        began = [event async for events in arriving for event in events if isinstance(event, StreamBegan)]
    return began[0]


async def test_the_provider_tells_where_a_request_parted_from_its_warm_up(side: Simulated) -> None:
    warmed = await warm(side, make_prompt(turns=1))
    other_system = make_prompt(turns=1, system_tokens=4100)

    began = await send(side, other_system, warmed)

    assert warmed.startswith("msg_")
    assert began.miss_reason == "system_changed"


async def test_the_last_reply_can_be_compared_with_too(side: Simulated) -> None:
    first = await send(side, make_prompt(turns=1), None)

    grown = await send(side, make_prompt(turns=2), first.response_id)
    branched = await send(side, make_prompt(name="b", turns=2), first.response_id)

    assert (first.miss_reason, branched.miss_reason) == ("", "messages_changed")
    assert grown.response_id != first.response_id


def asked(side: Simulated) -> list[Any]:
    return [json.loads(exchange.body).get("diagnostics") for exchange in side.exchanges]


async def test_warm_ups_ask_about_nothing_so_that_the_provider_keeps_their_fingerprint(side: Simulated) -> None:
    warmed = await warm(side, make_prompt())
    await send(side, make_prompt(), warmed)

    assert sorted(asked(side), key=str) == [{"previous_message_id": warmed}, {"previous_message_id": None}]


async def test_a_local_model_is_not_asked() -> None:
    async with simulated(upstream="local") as side:
        await warm(side, make_prompt())
        began = await send(side, make_prompt(turns=1), "msg_1")

        assert asked(side) == [None, None]
        assert began.miss_reason == ""


async def test_an_endpoint_that_refuses_the_question_is_not_asked_again(side: Simulated) -> None:
    side.next_fault("status", status=400, message="diagnostics: Extra inputs are not permitted")

    first = await warm(side, make_prompt())
    second = await send(side, make_prompt(), first)

    assert not side.provider.capabilities.accepts_diagnostics
    assert second.miss_reason == ""
    assert [question for question in asked(side) if question is not None] == [{"previous_message_id": None}]


class TestStored:
    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.fixture
    async def fake(self, clock: FakeClock) -> AsyncIterator[FakeRuntime]:
        async with fake_runtime(clock=clock, value_of_second_usd=Decimal(100)) as fakes:
            yield fakes

    async def warm(self, prompt: Prompt, **options: Any) -> None:
        attempt = await services.prewarm_prefix(prompt, intent="typing", **options)
        assert attempt.finished is not None
        await attempt.finished()

    async def send(self, prompt: Prompt, **options: Any) -> UsageRecord:
        async with services.stream_response(prompt, make_turn(), max_tokens=9, **options) as response:
            [event async for event in response]
        return await in_database_thread(lambda: UsageRecord.objects.get(pk=response.id))

    async def test_a_request_is_compared_with_what_was_warmed_in_its_place(self, fake: FakeRuntime) -> None:
        fake.provider.miss_reason = "system_changed"
        await self.warm(make_prompt(turns=1), place="7")
        await self.warm(make_prompt(name="b", turns=1), place="8")

        record = await self.send(make_prompt(turns=1, system_tokens=4100), place="7")

        (warmed,) = await in_database_thread(lambda: list(WarmUp.objects.filter(place="7")))
        assert fake.provider.sent[-1].earlier_id == warmed.response_id
        assert (record.miss_reason, warmed.outcome) == ("system_changed", "diverged")
        assert record.response_id == "msg_2"

    async def test_bytes_that_differ_where_our_hash_does_not_look_have_diverged(self, fake: FakeRuntime) -> None:
        fake.provider.miss_reason = "tools_changed"
        await self.warm(make_prompt())
        fake.provider.evict()

        record = await self.send(make_prompt())

        assert (await in_database_thread(WarmUp.objects.get)).outcome == "diverged"
        assert record.miss_reason == "tools_changed"

    async def test_the_placeholder_of_a_warm_up_is_no_reason(self, fake: FakeRuntime) -> None:
        fake.provider.miss_reason = "messages_changed"
        await self.warm(make_prompt(turns=1))
        fake.provider.evict()

        record = await self.send(make_prompt(turns=1))

        assert (await in_database_thread(WarmUp.objects.get)).outcome == "evicted"
        assert record.miss_reason == ""

    async def test_what_was_read_needs_no_reason(self, fake: FakeRuntime) -> None:
        fake.provider.miss_reason = "unavailable"
        await self.warm(make_prompt(turns=1))

        record = await self.send(make_prompt(turns=1))

        assert (record.warmth, record.miss_reason) == ("hit", "")

    async def test_a_title_is_not_compared_with_the_reply_in_its_place(self, fake: FakeRuntime) -> None:
        await self.warm(make_prompt(turns=1), place="7")

        await self.send(make_prompt(system_tokens=50), place="7", purpose="title")
        title_earlier_id = fake.provider.sent[-1].earlier_id
        await self.send(make_prompt(turns=1), place="7")

        assert (title_earlier_id, fake.provider.sent[-1].earlier_id) == (None, "msg_0")


def origin(place: str = "") -> Origin:
    return Origin(label="l", subject="s", upstream="simulator", place=place)


def test_the_answer_that_shares_the_most_of_a_prefix_is_compared_with_where_no_place_is_told() -> None:
    answers = Answers()
    answers.note("msg_shared", make_prefix(), origin(), was_warm_up=True, at=0.0)
    answers.note("msg_deep", make_prefix(turns=1), origin(), was_warm_up=True, at=0.0)

    deep, shared = (answers.before(make_prefix(name=name, turns=1), origin(), 1.0) for name in ("a", "b"))

    assert (deep and deep.response_id, shared and shared.response_id) == ("msg_deep", "msg_shared")


def test_an_old_answer_is_not_compared_with() -> None:
    answers = Answers()
    answers.note("msg_1", make_prefix(), origin("7"), was_warm_up=False, at=0.0)

    assert answers.before(make_prefix(), origin("7"), 3601.0) is None


def test_answers_are_bounded() -> None:
    answers, prefix = Answers(), make_prefix()
    for number in range(MAX_ANSWERS + 5):
        answers.note(f"msg_{number}", prefix, origin(str(number)), was_warm_up=False, at=0.0)

    assert answers.before(make_prefix(model="claude-opus-5-5"), origin("0"), 1.0) is None
    assert answers.before(prefix, origin(str(MAX_ANSWERS + 4)), 1.0) is not None
