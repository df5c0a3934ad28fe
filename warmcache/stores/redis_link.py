"""One connection pool to Redis with a circuit breaker. The stores of one event loop share it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from warmcache.core.errors import StoreUnavailable
from warmcache.stores import health
from warmcache.stores.redis_failover import let_go, write_probe

logger = logging.getLogger(__name__)

COMMAND_TIMEOUT_SECONDS = 2.0
"""An order of magnitude above what a busy machine needs; only the first commands of an outage wait for it."""

REST_SECONDS = 1.0
"""How often we probe whether Redis is back. Until then every command fails at once."""

MAX_CONNECTIONS = 8
"""Concurrent commands of one event loop; waiting for a turn does not count as Redis being slow."""

TICKS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptCall:
    """A registered script and its keys and arguments."""

    script: AsyncScript
    keys: Sequence[str]
    arguments: Sequence[str | float]


class RedisLink:
    """Every command is tried once, with a timeout: without Redis there is no warm-up, and nobody waits for it."""

    def __init__(self, url: str, *, namespace: str, lost: str = "nothing is warmed") -> None:
        """`lost` completes the sentence "Redis does not answer, so ..." in the log."""
        self.redis: Redis = Redis(
            connection_pool=BlockingConnectionPool.from_url(
                url,
                max_connections=MAX_CONNECTIONS,
                timeout=None,
                socket_timeout=None,
                socket_connect_timeout=None,
                retry=Retry(NoBackoff(), 0),
            )
        )
        self._namespace = namespace
        self._lost = lost
        self._clients = [self.redis]
        self._turns = asyncio.Semaphore(MAX_CONNECTIONS)
        self._probing: asyncio.Task[None] | None = None
        health.watch(self)

    @property
    def is_lost(self) -> bool:
        """Whether Redis did not answer and has not been seen again since."""
        return self._probing is not None

    def lets_go_of(self, client: Redis) -> None:
        """The connections of this client are given up together with ours."""
        self._clients.append(client)

    def key(self, kind: str, name: str) -> str:
        return f"{self._namespace}:{kind}:{name}"

    @asynccontextmanager
    async def command(self) -> AsyncIterator[None]:
        """Turns every Redis error into `StoreUnavailable`; raises it at once while Redis is known to be down."""
        self._refuse_while_gone()
        async with self._turns:
            self._refuse_while_gone()
            try:
                async with awake_timeout(COMMAND_TIMEOUT_SECONDS):
                    yield
            except (RedisError, OSError) as error:
                await let_go(error, *self._clients)
                self._leave_alone(error)
                raise StoreUnavailable(str(error)) from error

    async def run(self, *calls: ScriptCall) -> list[Any]:
        """Runs several scripts in one round trip, each atomic by itself; returns their results."""
        async with self.command():
            pipeline = self.redis.pipeline(transaction=False)
            for call in calls:
                pipeline.evalsha(call.script.sha, len(call.keys), *call.keys, *call.arguments)
            answers = await pipeline.execute(raise_on_error=False)
            for index, (call, answer) in enumerate(zip(calls, answers, strict=True)):
                if isinstance(answer, NoScriptError):  # Redis was restarted
                    answers[index] = await call.script(keys=call.keys, args=call.arguments)
                elif isinstance(answer, Exception):
                    raise answer
            return answers

    async def aclose(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
            self._probing = None
        await self.redis.connection_pool.aclose()

    def _refuse_while_gone(self) -> None:
        if self._probing is not None:
            raise StoreUnavailable("Redis did not answer a moment ago.")

    def _leave_alone(self, error: Exception) -> None:
        if self._probing is None:
            logger.warning("Redis does not answer, so %s: %s", self._lost, error or type(error).__name__)
            self._probing = asyncio.get_running_loop().create_task(self._probe(), name="waiting for Redis")

    async def _probe(self) -> None:
        is_back = False
        while not is_back:
            await asyncio.sleep(REST_SECONDS)
            try:
                async with awake_timeout(COMMAND_TIMEOUT_SECONDS):
                    await write_probe(self.redis, self._namespace)
                is_back = True
            except Exception as error:
                # Whatever the error: only a write proves that Redis is back.
                await let_go(error, *self._clients)
        self._probing = None


class awake_timeout:  # noqa: N801 - used as `asyncio.timeout` is
    """Like `asyncio.timeout`, but its clock stops while the event loop is blocked: a starved process must not mistake
    an unread answer for silence."""

    def __init__(self, seconds: float) -> None:
        self._tick_seconds = seconds / TICKS
        self._ticks_left = TICKS
        self._timeout = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(self._tick_seconds, self._tick)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, traceback)

    def _tick(self) -> None:
        self._ticks_left -= 1
        if self._ticks_left:
            self._timer = self._loop.call_later(self._tick_seconds, self._tick)
        else:
            self._timeout.reschedule(self._loop.time())
