import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from anthropic import AsyncAnthropic

from tests.servers import PATIENCE_SECONDS
from warmcache.core.catalog import facts_for
from warmcache.simulator.app import create_app
from warmcache.simulator.engine import Engine
from warmcache.simulator.prompt import Level, Prompt, PromptBlock
from warmcache.simulator.provider import Options, Simulator

MODEL = "claude-sonnet-5-5"
MINUTES = 60


@dataclass
class FakeClock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Served:
    """A simulator behind a real socket, and ways to talk to it."""

    url: str
    simulator: Simulator
    clock: FakeClock
    clients: list[AsyncAnthropic] = field(default_factory=list)

    def client(self, **options: Any) -> AsyncAnthropic:
        options = {"api_key": "key", "base_url": self.url, "max_retries": 0, "timeout": PATIENCE_SECONDS, **options}
        self.clients.append(AsyncAnthropic(**options))
        return self.clients[-1]

    async def control(self, method: str, path: str, payload: Any = None, **headers: str) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.url}/simulator/{path}", json=payload, headers=headers) as response,
        ):
            body = await response.json()
            assert response.status == 200, body
            return body

    async def journal(self) -> list[dict[str, Any]]:
        return (await self.control("GET", "requests"))["requests"]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def engine(clock: FakeClock) -> Engine:
    return Engine(clock=clock)


@pytest.fixture
def prompt_of() -> Callable[..., Prompt]:
    """Builds a prompt of named blocks: `"a"`, or `("b", "5m")` where a breakpoint stands."""

    def build(*names: str | tuple[str, str], tokens: int = 1000, model: str = MODEL, **options: Any) -> Prompt:
        pairs = [(name, None) if isinstance(name, str) else name for name in names]
        blocks = tuple(
            PromptBlock(
                digest=name.encode(),
                tokens=tokens,
                level=Level.MESSAGES,
                ttl_seconds={None: None, "5m": 300, "1h": 3600}[ttl],
            )
            for name, ttl in pairs
        )
        return Prompt(facts=facts_for(model), blocks=blocks, **options)

    return build


@pytest.fixture
async def serve(clock: FakeClock) -> AsyncIterator[Callable[..., Awaitable[Served]]]:
    """Starts simulators on free ports; `instant` and without noise unless told otherwise."""
    runners: list[web.AppRunner] = []
    served: list[Served] = []

    async def start(**options: Any) -> Served:
        simulator = Simulator(Options(**{"profile": "instant", "noise": 0, **options}), clock=clock)
        runner = web.AppRunner(create_app(simulator), handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        served.append(Served(url=url, simulator=simulator, clock=clock))
        return served[-1]

    yield start

    for each in served:
        for client in each.clients:
            await client.close()
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def served(serve: Callable[..., Awaitable[Served]]) -> Served:
    return await serve()


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Waits for something that another task is about to do."""

    async def wait(happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not happened():  # noqa: ASYNC110 - the other side of a socket sets no event here
                await asyncio.sleep(0.005)

    return wait
