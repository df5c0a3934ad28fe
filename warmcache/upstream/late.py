"""The provider while it does not exist yet: importing the SDK and making its client take seconds of computing.

A thread does both, so that the event loop goes on meanwhile. What is decided without a call needs only the
capabilities, and those the configuration knows.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future

from warmcache.conf import Config
from warmcache.core.ports import Capabilities, Provider
from warmcache.core.upstreams import Upstream


def capabilities_of(config: Config) -> Capabilities:
    """What the endpoint is believed to support before it has refused anything."""
    said = config.accepts_zero_max_tokens
    return Capabilities(
        upstream=config.upstream,
        # Of a client that is not made yet, nothing is known.
        accepts_zero_max_tokens=not config.client if said is None else said,
        reports_cache_writes=config.upstream != Upstream.LOCAL,
        accepts_diagnostics=config.upstream != Upstream.LOCAL and not config.client,
        counts_tokens=config.upstream != Upstream.LOCAL and not config.client,
    )


class LateProvider:
    """Calls `make` in a thread at once."""

    def __init__(self, config: Config, make: Callable[[], Provider]) -> None:
        self._configured = capabilities_of(config)
        self._made: Future[Provider] = Future()
        # Whoever waits and is cancelled gives up the own wait, and not everybody's provider.
        self._made.set_running_or_notify_cancel()
        threading.Thread(target=self._make, args=(make,), name="import of the SDK", daemon=True).start()

    @property
    def capabilities(self) -> Capabilities:
        """The provider's own, once it is made: a host's client may be of a cloud that lacks something."""
        if self._made.done() and self._made.exception() is None:
            return self._made.result().capabilities
        return self._configured

    async def made(self) -> Provider:
        return await asyncio.wrap_future(self._made)

    async def aclose(self) -> None:
        """Nothing was called, so no connection is open."""

    def _make(self, make: Callable[[], Provider]) -> None:
        try:
            self._made.set_result(make())
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever calls
            self._made.set_exception(error)
