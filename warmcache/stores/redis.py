"""Leases and warmth shared by all processes on one Redis. Values are times and ids, never content.

    <namespace>:warm:<hash>      estimated expiry, epoch seconds; lives as long as the entry
    <namespace>:lease:<hash>     "<owner> <called_at>", the latter 0 until the call; lives as long as the lease
    <namespace>:nothing:<hash>   a warm-up left nothing in the cache
    <namespace>:released         channel: the hash whose lease was given back

Every command is tried once and has a short clock: without Redis there is no warm-up, and no request waits for it.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Self

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from warmcache.conf import Config
from warmcache.core.errors import StoreUnavailable
from warmcache.core.ports import Clock, Sighting

logger = logging.getLogger(__name__)

COMMAND_TIMEOUT_SECONDS = 0.5
REST_SECONDS = 1.0
"""After a failed command Redis is left alone this long, so that an outage costs each process one time-out a second."""

MAX_CONNECTIONS = 20
POLL_SECONDS = 0.5
"""A lease that ran out, or whose release went unheard, is noticed this late at most."""

RELEASE = """
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^(.*) [^ ]+$') == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('PUBLISH', ARGV[2], ARGV[3])
end
"""
BEGIN = """
for _, key in ipairs(KEYS) do
  local held = redis.call('GET', key)
  if held and string.match(held, '^(.*) [^ ]+$') == ARGV[1] then
    redis.call('SET', key, ARGV[1] .. ' ' .. ARGV[2], 'KEEPTTL')
  end
end
"""
RECORD_WARM = """
for i, key in ipairs(KEYS) do
  local known = tonumber(redis.call('GET', key) or '0')
  local expires_at, lives_ms = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  if expires_at > known and lives_ms > 0 then
    redis.call('SET', key, ARGV[2 * i - 1], 'PX', lives_ms)
  end
end
"""


class RedisWarmthStore:
    """A `WarmthStore` for any number of processes. One instance per event loop."""

    def __init__(self, *, clock: Clock, url: str, namespace: str = "warmcache") -> None:
        self._clock = clock
        self._namespace = namespace
        self._redis: Redis = Redis(
            connection_pool=BlockingConnectionPool.from_url(
                url,
                max_connections=MAX_CONNECTIONS,
                timeout=COMMAND_TIMEOUT_SECONDS,
                socket_timeout=COMMAND_TIMEOUT_SECONDS,
                socket_connect_timeout=COMMAND_TIMEOUT_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
        )
        # A subscription is silent for as long as nothing is released: no clock on its reads.
        self._listening: Redis = Redis.from_url(
            url, socket_timeout=None, socket_connect_timeout=COMMAND_TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 0)
        )
        self._begin_script = self._redis.register_script(BEGIN)
        self._release_script = self._redis.register_script(RELEASE)
        self._record_script = self._redis.register_script(RECORD_WARM)
        self._rests_until = 0.0
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._listener: asyncio.Task[None] | None = None

    @classmethod
    def from_config(cls, config: Config, *, clock: Clock) -> Self:
        return cls(clock=clock, url=config.redis_url)

    async def look_up(self, hashes: Sequence[str]) -> Mapping[str, Sighting]:
        if not hashes:
            return {}
        kinds = ("warm", "lease", "nothing")
        with self._command():
            values = await self._redis.mget([self._key(kind, h) for h in hashes for kind in kinds])
        found = {}
        for index, prefix_hash in enumerate(hashes):
            warm, lease, nothing = values[3 * index : 3 * index + 3]
            if warm is not None or lease is not None or nothing is not None:
                found[prefix_hash] = _sighting(warm, lease, nothing)
        return found

    async def claim(self, prefix_hash: str, *, owner: str, ttl_seconds: float) -> bool:
        with self._command():
            key = self._key("lease", prefix_hash)
            return bool(await self._redis.set(key, f"{owner} 0", nx=True, px=round(ttl_seconds * 1000)))

    async def begin(self, hashes: Sequence[str], *, owner: str) -> None:
        if hashes:
            with self._command():
                keys = [self._key("lease", h) for h in hashes]
                await self._begin_script(keys=keys, args=[owner, self._clock.now()])

    async def release(self, prefix_hash: str, *, owner: str) -> None:
        with self._command():
            await self._release_script(keys=[self._key("lease", prefix_hash)], args=[owner, self._channel, prefix_hash])

    async def wait_until_released(self, prefix_hash: str, *, timeout_seconds: float) -> bool:
        try:
            async with asyncio.timeout(timeout_seconds):
                async with self._heard_release(prefix_hash) as released:
                    await self._wait(prefix_hash, released)
        except TimeoutError:
            return False
        return True

    async def record_warm(self, expires_at_by_hash: Mapping[str, float]) -> None:
        if not expires_at_by_hash:
            return
        now = self._clock.now()
        arguments: list[float | int] = []
        for expires_at in expires_at_by_hash.values():
            arguments += [expires_at, round((expires_at - now) * 1000)]
        with self._command():
            await self._record_script(keys=[self._key("warm", h) for h in expires_at_by_hash], args=arguments)

    async def record_uncacheable(self, prefix_hash: str, *, ttl_seconds: float) -> None:
        with self._command():
            await self._redis.set(self._key("nothing", prefix_hash), "1", px=round(ttl_seconds * 1000))

    async def forget(self, hashes: Sequence[str]) -> None:
        if hashes:
            with self._command():
                await self._redis.delete(*(self._key("warm", h) for h in hashes))

    async def aclose(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
        await self._listening.aclose()
        await self._redis.connection_pool.aclose()

    @property
    def _channel(self) -> str:
        return f"{self._namespace}:released"

    def _key(self, kind: str, prefix_hash: str) -> str:
        return f"{self._namespace}:{kind}:{prefix_hash}"

    @contextmanager
    def _command(self) -> Iterator[None]:
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

    async def _wait(self, prefix_hash: str, released: asyncio.Event) -> None:
        while True:
            sighting = (await self.look_up([prefix_hash])).get(prefix_hash, Sighting())
            if sighting.lease_owner is None:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await released.wait()

    @asynccontextmanager
    async def _heard_release(self, prefix_hash: str) -> AsyncIterator[asyncio.Event]:
        """An event that is set when somebody gives this lease back. One subscription serves the process."""
        if self._listener is None or self._listener.done():
            self._listener = asyncio.get_running_loop().create_task(self._listen(), name="releases")
        released = asyncio.Event()
        self._waiters.setdefault(prefix_hash, set()).add(released)
        try:
            yield released
        finally:
            self._waiters[prefix_hash].discard(released)
            if not self._waiters[prefix_hash]:
                del self._waiters[prefix_hash]

    async def _listen(self) -> None:
        """Ends when Redis goes; the next one who waits begins anew, and until then polls."""
        pubsub: PubSub = self._listening.pubsub(ignore_subscribe_messages=True)
        try:
            await pubsub.subscribe(self._channel)
            while True:
                message = await pubsub.get_message(timeout=None)
                if message is not None:
                    for released in self._waiters.get(message["data"].decode(), ()):
                        released.set()
        except (RedisError, OSError) as error:
            logger.warning("Releases are not heard until Redis is back: %s", error)
        finally:
            with contextlib.suppress(RedisError, OSError):
                await pubsub.aclose()  # type: ignore[no-untyped-call]


def _sighting(warm: bytes | str | None, lease: bytes | str | None, nothing: bytes | str | None) -> Sighting:
    text = lease.decode() if isinstance(lease, bytes) else lease or ""
    owner, _, called_at = text.rpartition(" ")
    return Sighting(
        expires_at=float(warm) if warm is not None else None,
        lease_owner=owner or None,
        called_at=float(called_at or 0) or None,
        is_uncacheable=nothing is not None,
    )
