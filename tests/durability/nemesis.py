"""What goes wrong: servers, Redis and PostgreSQL are killed and started, connections are cut, frozen and slowed."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tests.servers.chat_server import ChatServer
from tests.servers.fault_proxy import FaultProxy
from tests.servers.postgres_server import PostgresServer
from tests.servers.redis_server import RedisServer

Fault = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Nemesis:
    """Does one fault at a time, undoes it, and counts. The rest of the system goes on meanwhile."""

    servers: Sequence[ChatServer]
    wires: Sequence[FaultProxy]
    redis: RedisServer
    postgres: PostgresServer
    rng: random.Random
    done: Counter[str] = field(default_factory=Counter)

    async def rage(self, faults: int) -> None:
        """So many faults, then peace."""
        choices: list[tuple[float, str, Fault]] = [
            (0.35, "cut", self._cut),
            (0.20, "half-open", self._freeze),
            (0.10, "slow", self._slow),
            (0.15, "kill -9", self._kill_server),
            (0.10, "redis", self._restart_redis),
            (0.10, "postgresql", self._restart_postgres),
        ]
        weights = [weight for weight, _, _ in choices]
        for _ in range(faults):
            _, name, fault = self.rng.choices(choices, weights)[0]
            await asyncio.sleep(self.rng.uniform(0.0, 0.4))
            await fault()
            self.done[name] += 1

    def make_peace(self) -> None:
        for wire in self.wires:
            wire.mend()

    async def _cut(self) -> None:
        await asyncio.to_thread(self.rng.choice(self.wires).cut)

    async def _freeze(self) -> None:
        wire = self.rng.choice(self.wires)
        await asyncio.to_thread(wire.freeze)
        await asyncio.sleep(self.rng.uniform(0.2, 1.5))
        await asyncio.to_thread(wire.mend)

    async def _slow(self) -> None:
        wire = self.rng.choice(self.wires)
        await asyncio.to_thread(lambda: wire.slow(latency_seconds=0.05, bytes_per_second=4000))
        await asyncio.sleep(self.rng.uniform(0.2, 1.0))
        await asyncio.to_thread(wire.mend)

    async def _kill_server(self) -> None:
        server = self.rng.choice(self.servers)
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(self.rng.uniform(0.0, 0.5))
        await asyncio.to_thread(server.start)

    async def _restart_redis(self) -> None:
        await asyncio.to_thread(self.redis.kill)
        await asyncio.sleep(self.rng.uniform(0.1, 1.0))
        await asyncio.to_thread(self.redis.start)

    async def _restart_postgres(self) -> None:
        await asyncio.to_thread(self.postgres.restart)
