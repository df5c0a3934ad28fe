from collections.abc import AsyncIterator

import pytest

from tests.patience import PATIENCES
from tests.servers import PATIENCE_SECONDS
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime

HOUR = 3600.0


@pytest.fixture(autouse=True)
def machine_may_be_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raises time limits; tests of these limits, and tests that wait for housekeeping, set them themselves."""
    for name in PATIENCES:
        monkeypatch.setattr(name, PATIENCE_SECONDS)
    monkeypatch.setattr("warmcache.runtime.state.HOUSEKEEPING_SECONDS", HOUR)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def fake(clock: FakeClock) -> AsyncIterator[FakeRuntime]:
    """A runtime with fakes and without a database. A follower of another call waits by the real clock: for long."""
    async with fake_runtime(clock=clock, has_database=False, join_bound_factor=100.0) as fakes:
        yield fakes
