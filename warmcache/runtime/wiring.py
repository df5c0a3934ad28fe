"""What the services share on one event loop: configuration, provider, store, ledger. Built on first use."""

import asyncio
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from django.utils.module_loading import import_string

from warmcache.background.tasks import TaskOwner
from warmcache.background.timers import Timers
from warmcache.cache.guards import Guards
from warmcache.cache.leases import LeaseKeeper
from warmcache.cache.visits import Visits
from warmcache.conf import Config, get_config
from warmcache.core.economics import RateSource
from warmcache.core.lifetimes import with_lifetimes
from warmcache.core.ports import Clock, Provider, WarmthStore
from warmcache.core.prefix import Json, Prompt, Request, build_request
from warmcache.learned.forecasts import Learning
from warmcache.ledger.writer import Ledger
from warmcache.models import Intent
from warmcache.operator_policy import PolicyWatch
from warmcache.upstream.earlier_answers import Answers
from warmcache.upstream.prices import price_list

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
    learning: Learning
    random: Callable[[], float] = random.random
    """0 to 1: draws the visits that are held out."""
    guards: Guards = field(init=False)
    visits: Visits = field(init=False)
    leases: LeaseKeeper = field(init=False)
    answers: Answers = field(default_factory=Answers)
    tasks: TaskOwner = field(default_factory=lambda: TaskOwner("warmcache"))
    """Warm-ups."""
    timers: Timers = field(init=False)
    """Decisions that are due later."""
    warming_paused_until: float = 0.0
    """Epoch seconds; the provider asked for less traffic, or refused the key."""
    warm_up_slots: asyncio.Semaphore = field(init=False)
    _housekeepers: TaskOwner = field(default_factory=lambda: TaskOwner("warmcache"))
    _starters: TaskOwner = field(default_factory=lambda: TaskOwner("warmcache"))
    """Those who begin warm-ups by themselves."""

    def __post_init__(self) -> None:
        self.warm_up_slots = asyncio.Semaphore(self.config.max_concurrent_warm_ups)
        self.guards = Guards(store=self.store, clock=self.clock, config=self.config)
        self.leases = LeaseKeeper(self.store, lease_seconds=self.config.lease_seconds)
        self.visits = Visits(teaches=self.learning.saw_sign)
        self.timers = Timers(clock=self.clock, tasks=self.tasks)

    def build(self, prompt: Prompt, turn: Sequence[Json] | None, *, label: str) -> Request:
        """The request for `prompt` and the person's `turn`, or the warm-up (None), with every open lifetime chosen."""
        refreshes = Intent.TURN_FINISHED in self.policy.current.intents
        prompt = with_lifetimes(prompt, self.learning.forecasts(label), self.rates, refreshes=refreshes)
        return build_request(prompt, turn, self.config.prefix_key)

    def start(self) -> None:
        self._housekeepers.spawn(self.ledger.write_forever(), name="ledger")
        self._housekeepers.spawn(self._keep_house(), name="housekeeping")
        self._housekeepers.spawn(self.leases.renew_forever(), name="leases")
        self._housekeepers.spawn(self.policy.watch_forever(), name="policy")
        self._starters.spawn(self.timers.run_forever(), name="timers")
        for companion in _companions:
            self._starters.spawn(companion(self), name=companion.__name__)

    async def close(self) -> None:
        """Ends what is in flight, flushes the ledger, closes connections."""
        await self._starters.close()
        await self.tasks.close()
        try:
            async with asyncio.timeout(CLOSE_PATIENCE_SECONDS):
                await self.ledger.drain()
                await self.learning.exchange(self.ledger, self.clock.now())
        except TimeoutError:
            waiting = self.ledger.waiting_writes
            seconds = CLOSE_PATIENCE_SECONDS
            logger.error("The ledger could not be flushed in %.0f s; %d writes are lost", seconds, waiting)
        finally:
            await self._housekeepers.close()
            self.ledger.close()
            await self.leases.close()
            await self.store.aclose()
            await self.provider.aclose()

    async def _keep_house(self) -> None:
        await self.ledger.flush()  # the last process may have left rows that nobody came for
        while True:
            await self._do(self._learn)
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            await self._do(self.guards.note_missed)
            await self._do(self.ledger.flush)

    async def _do(self, chore: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """What goes wrong in one must not end the others: rows would wait for ever."""
        try:
            await chore()
        except Exception:
            logger.exception("Housekeeping goes on without %s", chore.__qualname__)

    async def _learn(self) -> None:
        now = self.clock.now()
        self.visits.expire(now)
        await self.learning.exchange(self.ledger, now)


_companions: list[Callable[[Runtime], Coroutine[Any, Any, None]]] = []


def accompany(companion: Callable[[Runtime], Coroutine[Any, Any, None]]) -> None:
    """Runs it as a task of every runtime that starts from now on, until that one is closed."""
    if companion not in _companions:
        _companions.append(companion)


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
        store=store or build_store(config, clock=clock),
        clock=clock,
        ledger=Ledger(clock=clock),
        rates=price_list(config),
        policy=PolicyWatch(config),
        learning=Learning(upstream=config.upstream, is_on=config.learns),
    )


def build_store(config: Config, *, clock: Clock) -> WarmthStore:
    """The store that the configuration names."""
    store: WarmthStore = import_string(config.store_path).from_config(config, clock=clock)
    return store


def install_runtime(runtime: Runtime) -> None:
    """Makes it the running loop's, for tests and for hosts that build their own. The loop must have none yet."""
    loop = asyncio.get_running_loop()
    if loop in _by_loop:
        raise RuntimeError("This event loop has a runtime already; `await close_runtime()` first.")
    _by_loop[loop] = runtime
    runtime.start()


_home: tuple[int, asyncio.AbstractEventLoop] | None = None
"""With the process it is of: a fork leaves the loop behind."""


def adopt_loop() -> None:
    """Says that the running loop lives as long as this process, as a server's does: see `home_loop`."""
    global _home
    _home = (os.getpid(), asyncio.get_running_loop())


def home_loop() -> asyncio.AbstractEventLoop | None:
    """Where synchronous code of this process finds its runtime; None where no loop was adopted."""
    if _home is None or _home[0] != os.getpid() or not _home[1].is_running():
        return None
    return _home[1]


async def close_runtime() -> None:
    """Closes the running loop's runtime, if it has one."""
    runtime = _by_loop.pop(asyncio.get_running_loop(), None)
    if runtime is not None:
        await runtime.close()


def import_provider_soon() -> None:
    """The SDK takes most of a second to import: not at the cost of the first person's first reply."""
    threading.Thread(
        target=import_module, args=("warmcache.upstream.anthropic",), name="import of the SDK", daemon=True
    ).start()


def _messages_provider(config: Config) -> Provider:
    # The SDK takes seconds to import; a server should listen before that.
    from warmcache.upstream.anthropic import MessagesProvider

    return MessagesProvider(config)
