"""Several who ask for the same at the same time are answered by one read."""

import asyncio

import pytest

from chatapp.warming.shared_reads import SharedReads


class Reader:
    """Counts its reads, and answers when it is let."""

    def __init__(self) -> None:
        self.reads = 0
        self.may_answer = asyncio.Event()

    async def read(self) -> int:
        self.reads += 1
        number = self.reads
        await self.may_answer.wait()
        return number


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_those_who_ask_at_the_same_time_share_one_read() -> None:
    shared, reader = SharedReads(), Reader()
    askers = [asyncio.create_task(shared.of("a", reader.read)) for _ in range(20)]
    await settle()
    reader.may_answer.set()

    answers = await asyncio.gather(*askers)

    assert answers == [1] * 20
    assert reader.reads == 1


async def test_who_asks_later_or_for_something_else_gets_a_read_of_its_own() -> None:
    shared, reader = SharedReads(), Reader()
    reader.may_answer.set()

    answers = [await shared.of("a", reader.read), await shared.of("a", reader.read), await shared.of("b", reader.read)]

    assert answers == [1, 2, 3]


async def test_an_asker_that_goes_away_does_not_end_the_read_for_the_others_and_the_last_one_does() -> None:
    shared, reader = SharedReads(), Reader()
    first, second, third = [asyncio.create_task(shared.of("a", reader.read)) for _ in range(3)]
    await settle()
    first.cancel()
    await settle()
    second.cancel()
    third.cancel()
    await settle()

    again = asyncio.create_task(shared.of("a", reader.read))
    await settle()
    reader.may_answer.set()

    assert await again == 2
    assert first.cancelled() and second.cancelled() and third.cancelled()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_read_that_fails_fails_for_all_who_ask() -> None:
    shared = SharedReads()

    async def fails() -> int:
        await asyncio.sleep(0)
        raise OSError("away")

    askers = [asyncio.create_task(shared.of("a", fails)) for _ in range(2)]
    outcomes = await asyncio.gather(*askers, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [OSError, OSError]
    with pytest.raises(OSError, match="away"):
        await shared.of("a", fails)
