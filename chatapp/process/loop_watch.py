"""How late the event loop is, measured once a second: the wait of everything that happens in it."""

import asyncio

from prometheus_client import CollectorRegistry, Histogram

EVERY_SECONDS = 1.0

registry = CollectorRegistry()
_lag = Histogram(
    "warmcache_loop_lag_seconds",
    "How late a timer of the event loop fired, once a second.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
    registry=registry,
)


async def watch_forever() -> None:
    """Runs as a task of the process until it is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due_at = loop.time() + EVERY_SECONDS
        await asyncio.sleep(EVERY_SECONDS)
        _lag.observe(max(0.0, loop.time() - due_at))
