"""The real simulator behind a real socket, in the test's own event loop."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.servers import PATIENCE_SECONDS
from warmcache.conf import Config
from warmcache.simulator.app import create_app
from warmcache.simulator.faults import read_fault
from warmcache.simulator.journal import Exchange
from warmcache.simulator.provider import Options, Simulator
from warmcache.simulator.scripts import read_script
from warmcache.simulator.tokenizers import RULE_OF_THUMB
from warmcache.upstream.anthropic import MessagesProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """A simulator and the product's real provider, which speaks to it through the official client."""

    simulator: Simulator
    provider: MessagesProvider
    config: Config
    runner: web.AppRunner

    def next_fault(self, kind: str, **more: Any) -> None:
        self.simulator.faults.add(read_fault({"kind": kind, **more}))

    def next_replies(self, text: str, times: int = 1, **more: Any) -> None:
        self.simulator.scripts.add(read_script({"text": text, "times": times, **more}))

    @property
    def exchanges(self) -> list[Exchange]:
        return self.simulator.journal.newest()

    def open_connections(self) -> int:
        return len(self.runner.server.connections) if self.runner.server else 0


@asynccontextmanager
async def simulated(
    profile: str = "instant", *, tokenizer: str = RULE_OF_THUMB, **entries: Any
) -> AsyncIterator[Simulated]:
    """`entries` are fields of `Config`."""
    simulator = Simulator(Options(profile=profile, noise=0, tokenizer=tokenizer))
    runner = web.AppRunner(create_app(simulator), handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    given = {"api_key": "key", "secret": "test", "connect_timeout_seconds": PATIENCE_SECONDS, **entries}
    config = Config(**{"upstream": "simulator", "base_url": url, **given})
    provider = MessagesProvider(config)
    try:
        yield Simulated(simulator=simulator, provider=provider, config=config, runner=runner)
    finally:
        await provider.aclose()
        await runner.cleanup()


async def eventually(happened: Callable[[], bool]) -> None:
    """Waits for what the other side of a socket is about to do."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not happened():  # noqa: ASYNC110 - a socket sets no event
            await asyncio.sleep(0.002)
