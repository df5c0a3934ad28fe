"""Each layer is settled by itself: by the request that reads it, whichever conversation that is of."""

import pytest

from tests.warmcache.ledger.told import lines_of, only_warm_up, outcomes_of, rows, send, warm
from warmcache import services
from warmcache.core.moments import at
from warmcache.testing import FakeClock, FakeRuntime, make_prompt

pytestmark = pytest.mark.django_db(transaction=True)


async def test_each_layer_that_it_wrote_is_a_line_with_its_part_of_the_bill(
    fake: FakeRuntime, clock: FakeClock
) -> None:
    await warm(make_prompt(turns=1, shared_ttl="1h"))

    row = await only_warm_up()
    shared, conversation = await lines_of(row)

    assert [(line.layer, line.ttl_seconds, line.outcome) for line in (shared, conversation)] == [
        ("shared", 3600, ""),
        ("conversation", 300, ""),
    ]
    assert (shared.written_tokens, shared.read_tokens) == (row.cache_write_1h_tokens, 0)
    assert shared.written_tokens + conversation.written_tokens == row.cache_write_tokens
    assert shared.cost_usd + conversation.cost_usd == row.cost_usd
    assert (shared.estimated_expires_at, conversation.estimated_expires_at) == (
        at(clock.now() + 3600),
        at(clock.now() + 300),
    )
    assert conversation.prefix_hash == row.prefix_hash


async def test_a_layer_that_was_only_renewed_wrote_nothing_and_lends_no_credit(fake: FakeRuntime) -> None:
    await warm(make_prompt(name="ann", turns=1))
    await warm(make_prompt(name="bob", turns=1))
    await send(make_prompt(name="cem", turns=1))

    first, second = sorted(await rows(), key=lambda row: row.cache_read_tokens)

    assert [(line.written_tokens > 0, line.read_tokens > 0) for line in await lines_of(second)] == [
        (False, True),
        (True, False),
    ]
    assert [line.credited_tokens > 0 for line in await lines_of(first)] == [True, False]
    assert [line.credited_tokens for line in await lines_of(second)] == [0, 0]
    assert await outcomes_of(second) == [("shared", "hit"), ("conversation", "")]
    assert (first.outcome, second.outcome) == ("hit", "")


async def test_warming_the_shared_layer_is_credited_by_any_conversation(fake: FakeRuntime) -> None:
    await warm(make_prompt())

    response = await send(make_prompt(turns=1))

    assert (await only_warm_up()).outcome == "hit"
    assert response.result.settlement.warm_up_id is not None


async def test_another_conversations_layer_is_left_alone_and_the_shared_one_is_credited(
    fake: FakeRuntime, clock: FakeClock
) -> None:
    await warm(make_prompt(name="ann", turns=1))

    response = await send(make_prompt(name="bob", turns=1))
    row = await only_warm_up()
    before = await outcomes_of(row)
    clock.advance(301)
    await services.flush()

    shared, conversation = await lines_of(row)
    assert before == [("shared", "hit"), ("conversation", "")]
    assert (shared.request_id, shared.credited_tokens) == (response.id, shared.written_tokens)
    assert (conversation.outcome, conversation.request_id, conversation.credited_tokens) == ("unused", None, 0)
    assert (await only_warm_up()).outcome == "hit"


async def test_what_was_warmed_for_this_conversation_under_other_bytes_has_diverged(fake: FakeRuntime) -> None:
    await warm(make_prompt(turns=1, draft_tokens=2000), place="7", subject="ann")
    await warm(make_prompt(name="b", turns=1), place="8", subject="ann")

    await send(make_prompt(turns=1), place="7", subject="ann")
    seen = [await outcomes_of(row) for row in sorted(await rows(), key=lambda row: row.place)]

    assert seen == [
        [("shared", "hit"), ("conversation", "hit"), ("draft", "diverged")],
        [("shared", "hit"), ("conversation", "")],
    ]


async def test_a_title_with_a_prompt_of_its_own_makes_nothing_diverge(fake: FakeRuntime) -> None:
    await warm(make_prompt(turns=1), place="7")

    await send(make_prompt(name="titles", system_tokens=5000), place="7", purpose="title")

    assert await outcomes_of(await only_warm_up()) == [("shared", ""), ("conversation", "")]


async def test_a_request_that_reads_it_after_all_takes_back_that_it_diverged(fake: FakeRuntime) -> None:
    await warm(make_prompt(turns=2), place="7")
    await send(make_prompt(turns=1), place="7")
    diverged = await outcomes_of(await only_warm_up())

    await send(make_prompt(turns=2), place="7")

    assert diverged == [("shared", "hit"), ("conversation", "diverged")]
    assert await outcomes_of(await only_warm_up()) == [("shared", "hit"), ("conversation", "hit")]


async def test_two_layers_are_settled_apart_when_only_the_second_was_evicted(fake: FakeRuntime) -> None:
    await warm(make_prompt(turns=1))
    shared, conversation = await lines_of(await only_warm_up())
    fake.provider.evict(conversation.prefix_hash)

    await send(make_prompt(turns=1))

    row = await only_warm_up()
    assert await outcomes_of(row) == [("shared", "hit"), ("conversation", "evicted")]
    assert [line.credited_tokens for line in await lines_of(row)] == [shared.written_tokens, 0]
