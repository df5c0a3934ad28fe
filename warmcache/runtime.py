"""What the services share on one event loop: configuration, provider, store, ledger. Built on first use."""

import asyncio
import logging
import time
import weakref
from dataclasses import dataclass, field

from django.utils.module_loading import import_string

from warmcache.conf import Config, get_config
from warmcache.core.economics import RateSource
from warmcache.core.ports import Clock, Provider, WarmthStore
from warmcache.ledger import Ledger
from warmcache.operator_policy import PolicyWatch
from warmcache.prices import price_list
from warmcache.tasks import TaskOwner

logger = logging.getLogger(__name__)

HOUSEKEEPING_SECONDS = 5.0
CLOSE_PATIENCE_SECONDS = 5.0


class SystemClock:
    def now(self) -> float:
        return time.time()


@dataclass(slots=True, kw_only=True)
class Runtime:
    """Owned by one event loop."""

    config: Config
    provider: Provider
    store: WarmthStore
    clock: Clock
    ledger: Ledger
    rates: RateSource
    policy: PolicyWatch
    tasks: TaskOwner = field(default_factory=lambda: TaskOwner("warmcache"))
    """Warm-ups."""
    warming_paused_until: float = 0.0
    """Epoch seconds; the provider asked for less traffic, or refused the key."""
    warm_up_slots: asyncio.Semaphore = field(init=False)
    _housekeepers: TaskOwner = field(default_factory=lambda: TaskOwner("warmcache"))

    def __post_init__(self) -> None:
        self.warm_up_slots = asyncio.Semaphore(self.config.max_concurrent_warm_ups)

    def start(self) -> None:
        self._housekeepers.spawn(self.ledger.write_forever(), name="ledger")
        self._housekeepers.spawn(self._keep_house(), name="housekeeping")
        self._housekeepers.spawn(self.policy.watch_forever(), name="policy")

    async def close(self) -> None:
        """Ends what is in flight, flushes the ledger, closes connections."""
        await self.tasks.close()
        try:
            async with asyncio.timeout(CLOSE_PATIENCE_SECONDS):
                await self.ledger.flush()
        except TimeoutError:
            logger.error("The ledger could not be flushed in %.0f s; its last rows are lost", CLOSE_PATIENCE_SECONDS)
        finally:
            await self._housekeepers.close()
            self.ledger.close()
            await self.store.aclose()
            await self.provider.aclose()

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            await self.ledger.flush()


_by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Runtime] = weakref.WeakKeyDictionary()


def get_runtime() -> Runtime:
    """The runtime of the running event loop."""
    loop = asyncio.get_running_loop()
    runtime = _by_loop.get(loop)
    if runtime is None:
        runtime = _by_loop[loop] = build_runtime(get_config())
        runtime.start()
    return runtime


def build_runtime(
    config: Config,
    *,
    provider: Provider | None = None,
    store: WarmthStore | None = None,
    clock: Clock | None = None,
) -> Runtime:
    """A runtime with the given parts; the others as the configuration names them."""
    clock = clock or SystemClock()
    return Runtime(
        config=config,
        provider=provider or _messages_provider(config),
        store=store or import_string(config.store_path).from_config(config, clock=clock),
        clock=clock,
        ledger=Ledger(clock=clock),
        rates=price_list(config),
        policy=PolicyWatch(config),
    )


def install_runtime(runtime: Runtime) -> None:
    """Makes it the running loop's, for tests and for hosts that build their own. The loop must have none yet."""
    loop = asyncio.get_running_loop()
    if loop in _by_loop:
        raise RuntimeError("This event loop has a runtime already; `await close_runtime()` first.")
    _by_loop[loop] = runtime
    runtime.start()


async def close_runtime() -> None:
    """Closes the running loop's runtime, if it has one."""
    runtime = _by_loop.pop(asyncio.get_running_loop(), None)
    if runtime is not None:
        await runtime.close()


def _messages_provider(config: Config) -> Provider:
    # The SDK takes seconds to import; a server should listen before that.
    from warmcache.provider import MessagesProvider

    return MessagesProvider(config)
