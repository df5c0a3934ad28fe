"""A runtime that warms whatever may be warmed."""

from collections.abc import AsyncIterator

import pytest

from tests.warmcache.ledger.told import DEAR
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime


@pytest.fixture
async def fake(clock: FakeClock) -> AsyncIterator[FakeRuntime]:
    async with fake_runtime(clock=clock, value_of_second_usd=DEAR, join_bound_factor=100.0) as fakes:
        yield fakes
