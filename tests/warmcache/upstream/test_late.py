"""The provider that is still being made: the event loop goes on, and whoever calls waits for it."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.servers import PATIENCE_SECONDS
from warmcache.conf import Config
from warmcache.core.upstreams import Upstream
from warmcache.runtime.wiring import build_runtime
from warmcache.upstream.late import LateProvider

CONFIG = Config(api_key="k", base_url="http://127.0.0.1:1", upstream=Upstream.LOCAL)


class SlowImport:
    """Stands for the SDK's module: its client is made when the test says so."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.error: Exception | None = None
        self.client = SimpleNamespace(capabilities="its own")

    def make(self, config: Config) -> SimpleNamespace:
        assert self.may_end.wait(PATIENCE_SECONDS)
        if self.error is not None:
            raise self.error
        return self.client


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowImport]:
    slow = SlowImport()
    monkeypatch.setitem(sys.modules, "warmcache.upstream.anthropic", SimpleNamespace(MessagesProvider=slow.make))
    yield slow
    slow.may_end.set()


async def test_its_capabilities_are_known_before_it_exists(sdk: SlowImport) -> None:
    runtime = build_runtime(CONFIG)

    assert isinstance(runtime.provider, LateProvider)
    assert runtime.provider.capabilities.upstream is Upstream.LOCAL
    assert not runtime.provider.capabilities.reports_cache_writes
    await runtime.provider.aclose()


async def test_calls_wait_for_it_and_one_that_gives_up_harms_no_other(sdk: SlowImport) -> None:
    runtime = build_runtime(CONFIG)
    patient, hasty = (asyncio.ensure_future(runtime.connected()) for _ in range(2))
    await asyncio.sleep(0)

    hasty.cancel()
    await asyncio.wait({hasty})
    assert not patient.done()
    sdk.may_end.set()

    assert await asyncio.wait_for(patient, PATIENCE_SECONDS) is sdk.client
    assert runtime.provider is sdk.client
    assert await runtime.connected() is sdk.client


async def test_whoever_calls_hears_why_there_is_none(sdk: SlowImport) -> None:
    sdk.error = ImportError("no SDK here")
    sdk.may_end.set()

    with pytest.raises(ImportError, match="no SDK here"):
        await build_runtime(CONFIG).connected()
