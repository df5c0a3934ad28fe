from collections.abc import AsyncIterator

import pytest

from tests.servers import PATIENCE_SECONDS
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime

PATIENCES = (
    "warmcache.ledger.FLUSH_PATIENCE_SECONDS",
    "warmcache.leases.CLOSE_PATIENCE_SECONDS",
    "warmcache.operator_policy.FIRST_READ_PATIENCE_SECONDS",
    "warmcache.runtime.CLOSE_PATIENCE_SECONDS",
    "warmcache.services.MANUAL_PATIENCE_SECONDS",
    "warmcache.stores.redis.COMMAND_TIMEOUT_SECONDS",
    "warmcache.stores.redis_link.COMMAND_TIMEOUT_SECONDS",
    "warmcache.streaming.RECORD_PATIENCE_SECONDS",
    "warmcache.sync.CLOSE_PATIENCE_SECONDS",
    "warmcache.warming.ROW_PATIENCE_SECONDS",
)
"""What gives up by the real clock: a machine that is short of time must not look like a server that is away."""
HOUR = 3600.0


@pytest.fixture(autouse=True)
def machine_may_be_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests of these limits set them themselves, as do those that wait for housekeeping."""
    for name in PATIENCES:
        monkeypatch.setattr(name, PATIENCE_SECONDS)
    monkeypatch.setattr("warmcache.runtime.HOUSEKEEPING_SECONDS", HOUR)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def fake(clock: FakeClock) -> AsyncIterator[FakeRuntime]:
    """A runtime with fakes and without a database. Who follows somebody else's call waits by the real clock: long."""
    async with fake_runtime(clock=clock, has_database=False, join_bound_factor=100.0) as fakes:
        yield fakes
