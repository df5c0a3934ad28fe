"""The wiring of one event loop's runtime: configuration, provider, store, ledger. Built on first use."""

import asyncio
import os
import threading
import time
import weakref
from functools import partial
from importlib import import_module

from django.utils.module_loading import import_string

from warmcache.conf import Config, get_config
from warmcache.core.ports import Clock, Provider, WarmthStore
from warmcache.learned.forecasts import Learning
from warmcache.ledger.writer import Ledger
from warmcache.operator_policy import PolicyWatch
from warmcache.runtime.state import Runtime
from warmcache.upstream.late import LateProvider
from warmcache.upstream.prices import price_list


class SystemClock:
    def now(self) -> float:
        return time.time()


_by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Runtime] = weakref.WeakKeyDictionary()


def get_runtime() -> Runtime:
    """The runtime of the running event loop."""
    loop = asyncio.get_running_loop()
    runtime = _by_loop.get(loop)
    if runtime is None:
        runtime = _by_loop[loop] = build_runtime(get_config())
        runtime.start()
    return runtime


def has_runtime(loop: asyncio.AbstractEventLoop) -> bool:
    return loop in _by_loop


def runtime_of(loop: asyncio.AbstractEventLoop) -> Runtime | None:
    """The runtime of another thread's loop, to look at; None if it has none yet."""
    return _by_loop.get(loop)


def runtime_in_reach() -> Runtime | None:
    """That of the running loop; in a thread without one, that of the server's loop. None before its first call."""
    try:
        loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
    except RuntimeError:
        loop = adopted_loop()
    return _by_loop.get(loop) if loop is not None else None


def build_runtime(
    config: Config,
    *,
    provider: Provider | None = None,
    store: WarmthStore | None = None,
    clock: Clock | None = None,
) -> Runtime:
    """A runtime with the given parts; the configuration names the others."""
    clock = clock or SystemClock()
    return Runtime(
        config=config,
        provider=provider or build_provider(config),
        store=store or build_store(config, clock=clock),
        clock=clock,
        ledger=Ledger(clock=clock),
        rates=price_list(config),
        policy=PolicyWatch(config),
        learning=Learning(upstream=config.upstream, is_on=config.learns),
        purse=import_string(config.purse)() if config.purse else None,
    )


def build_provider(config: Config) -> Provider | LateProvider:
    """The provider that the configuration names."""
    if not config.provider:
        return LateProvider(config, partial(_messages_provider, config))
    provider: Provider = import_string(config.provider).from_config(config)
    return provider


def build_store(config: Config, *, clock: Clock) -> WarmthStore:
    """The store that the configuration names."""
    store: WarmthStore = import_string(config.store_path).from_config(config, clock=clock)
    return store


def install_runtime(runtime: Runtime) -> None:
    """Makes it the running loop's runtime, for tests and hosts that build their own. The loop must have none yet."""
    loop = asyncio.get_running_loop()
    if loop in _by_loop:
        raise RuntimeError("This event loop has a runtime already; `await close_runtime()` first.")
    _by_loop[loop] = runtime
    runtime.start()


_home: tuple[int, asyncio.AbstractEventLoop] | None = None
"""Stored with its process: a fork does not inherit the loop."""


def adopt_loop() -> None:
    """Declares that the running loop lives as long as this process, as a server's does: see `runtime/home.py`."""
    global _home
    _home = (os.getpid(), asyncio.get_running_loop())


def adopted_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that a server has declared its own in this process, if it still runs."""
    if _home is None or _home[0] != os.getpid() or not _home[1].is_running():
        return None
    return _home[1]


async def close_runtime(*, patience_seconds: float | None = None) -> None:
    """Closes the running loop's runtime, if it has one."""
    runtime = _by_loop.pop(asyncio.get_running_loop(), None)
    if runtime is not None:
        await runtime.close(patience_seconds=patience_seconds)


def import_provider_soon() -> None:
    """Imports the SDK early: it takes most of a second, which the first person's first reply should not pay."""
    threading.Thread(
        target=import_module, args=("warmcache.upstream.anthropic",), name="import of the SDK", daemon=True
    ).start()


def _messages_provider(config: Config) -> Provider:
    # Called in a thread: the SDK takes seconds to import.
    from warmcache.upstream.anthropic import MessagesProvider

    return MessagesProvider(config)
