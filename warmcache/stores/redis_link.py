"""One connection pool to Redis, left alone for a moment after each failure. The stores of one event loop share it."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from warmcache.core.errors import StoreUnavailable

logger = logging.getLogger(__name__)

COMMAND_TIMEOUT_SECONDS = 0.5
REST_SECONDS = 1.0
"""After a failed command Redis is left alone this long, so that an outage costs each process one time-out a second."""

MAX_CONNECTIONS = 20


class RedisLink:
    """Every command is tried once and has a short clock: without Redis there is no warm-up, and nobody waits for it."""

    def __init__(self, url: str, *, namespace: str) -> None:
        self.redis: Redis = Redis(
            connection_pool=BlockingConnectionPool.from_url(
                url,
                max_connections=MAX_CONNECTIONS,
                timeout=COMMAND_TIMEOUT_SECONDS,
                socket_timeout=COMMAND_TIMEOUT_SECONDS,
                socket_connect_timeout=COMMAND_TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
        )
        self._namespace = namespace
        self._rests_until = 0.0

    def key(self, kind: str, name: str) -> str:
        return f"{self._namespace}:{kind}:{name}"

    @contextmanager
    def command(self) -> Iterator[None]:
        """Turns every trouble with Redis into `StoreUnavailable`, at once while it rests."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._rests_until:
            raise StoreUnavailable("Redis did not answer a moment ago.")
        try:
            yield
        except (RedisError, OSError) as error:
            self._rests_until = loop.time() + REST_SECONDS
            logger.warning("Redis does not answer, so nothing is warmed: %s", error)
            raise StoreUnavailable(str(error)) from error

    async def aclose(self) -> None:
        await self.redis.connection_pool.aclose()
