from collections.abc import AsyncIterator

import pytest

from warmcache.testing import FakeClock, FakeRuntime, fake_runtime


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def fake(clock: FakeClock) -> AsyncIterator[FakeRuntime]:
    """A runtime with fakes and without a database."""
    async with fake_runtime(clock=clock, has_database=False) as fakes:
        yield fakes
