"""The store of leases and warmth on Redis, shared by all processes. Values are times and ids, never content.

    <namespace>:warm:<hash>      estimated expiry, epoch seconds; lives as long as the entry
    <namespace>:lease:<hash>     "<owner> <called_at>", the latter 0 until the call; lives as long as the lease
    <namespace>:nothing:<hash>   a warm-up left nothing in the cache
    <namespace>:stop:<name>      the reason why warming under this name is stopped for a while
    <namespace>:released         channel: the hash whose lease was released

The accounts of `redis_allowances.py` use the same connection (`redis_link.py`).
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from warmcache.conf import Config
from warmcache.core.ports import Allowances, Clock, Sighting
from warmcache.core.reasons import Reason
from warmcache.stores.redis_allowances import RedisAllowances
from warmcache.stores.redis_link import COMMAND_TIMEOUT_SECONDS, RedisLink

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""An expired lease, or a missed release, is noticed at most this late."""

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
RENEW = """
for i, key in ipairs(KEYS) do
  local held = redis.call('GET', key)
  if held and string.match(held, '^(.*) [^ ]+$') == ARGV[i + 1] then
    redis.call('PEXPIRE', key, ARGV[1])
  end
end
"""
RECORD_WARM = """
local count = #ARGV / 2
for i = count + 1, #KEYS do redis.call('DEL', KEYS[i]) end
for i = 1, count do
  local key = KEYS[i]
  local known = tonumber(redis.call('GET', key) or '0')
  local expires_at, lives_ms = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  if expires_at > known and lives_ms > 0 then
    redis.call('SET', key, ARGV[2 * i - 1], 'PX', lives_ms)
  end
end
"""


@dataclass(slots=True, kw_only=True)
class _Watch:
    """The watch of one lease; ends with the lease, or with its last waiter."""

    task: asyncio.Task[None]
    released: asyncio.Event
    waiters: int = 0


class RedisWarmthStore:
    """A `WarmthStore` for any number of processes. One instance per event loop."""

    def __init__(self, *, clock: Clock, url: str, namespace: str = "warmcache") -> None:
        self._clock = clock
        self._namespace = namespace
        self._link = RedisLink(url, namespace=namespace)
        self._redis = self._link.redis
        self._allowances = RedisAllowances(clock=clock, link=self._link)
        # A subscription is silent while nothing is released: no timeout on its reads.
        self._listening: Redis = Redis.from_url(
            url, socket_timeout=None, socket_connect_timeout=COMMAND_TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 0)
        )
        self._link.lets_go_of(self._listening)
        self._begin_script = self._redis.register_script(BEGIN)
        self._renew_script = self._redis.register_script(RENEW)
        self._release_script = self._redis.register_script(RELEASE)
        self._record_script = self._redis.register_script(RECORD_WARM)
        self._watches: dict[str, _Watch] = {}
        self._listener: asyncio.Task[None] | None = None

    @classmethod
    def from_config(cls, config: Config, *, clock: Clock) -> Self:
        return cls(clock=clock, url=config.redis_url)

    def make_allowances(self) -> Allowances:
        return self._allowances

    async def look_up(self, hashes: Sequence[str], *, stops: Sequence[str] = ()) -> Mapping[str, Sighting]:
        if not hashes and not stops:
            return {}
        kinds = ("warm", "lease", "nothing")
        keys = [self._key(kind, h) for h in hashes for kind in kinds]
        async with self._link.command():
            values = await self._redis.mget([*keys, *(self._key("stop", name) for name in stops)])
        reasons = zip(stops, values[len(keys) :], strict=True)
        found = {
            name: Sighting(stopped_for=Reason.of_stop(_text(reason))) for name, reason in reasons if reason is not None
        }
        for index, prefix_hash in enumerate(hashes):
            warm, lease, nothing = values[3 * index : 3 * index + 3]
            if warm is not None or lease is not None or nothing is not None:
                found[prefix_hash] = _sighting(warm, lease, nothing)
        return found

    async def claim(self, prefix_hash: str, *, owner: str, ttl_seconds: float, begins: bool = False) -> bool:
        async with self._link.command():
            key, called_at = self._key("lease", prefix_hash), self._clock.now() if begins else 0
            return bool(await self._redis.set(key, f"{owner} {called_at}", nx=True, px=round(ttl_seconds * 1000)))

    async def begin(self, hashes: Sequence[str], *, owner: str) -> None:
        if hashes:
            async with self._link.command():
                keys = [self._key("lease", h) for h in hashes]
                await self._begin_script(keys=keys, args=[owner, self._clock.now()])

    async def renew(self, owner_by_hash: Mapping[str, str], *, ttl_seconds: float) -> None:
        if owner_by_hash:
            async with self._link.command():
                keys = [self._key("lease", h) for h in owner_by_hash]
                await self._renew_script(keys=keys, args=[round(ttl_seconds * 1000), *owner_by_hash.values()])

    async def release(self, prefix_hash: str, *, owner: str) -> None:
        async with self._link.command():
            await self._release_script(keys=[self._key("lease", prefix_hash)], args=[owner, self._channel, prefix_hash])

    async def wait_until_released(self, prefix_hash: str, *, timeout_seconds: float) -> bool:
        watch = self._watches.get(prefix_hash)
        if watch is None:
            watch = self._begin_watch(prefix_hash)
        watch.waiters += 1
        try:
            async with asyncio.timeout(timeout_seconds):
                await asyncio.shield(watch.task)
        except TimeoutError:
            return False
        finally:
            watch.waiters -= 1
            if not watch.waiters:
                self._end_watch(prefix_hash, watch)
        return True

    async def record_warm(self, expires_at_by_hash: Mapping[str, float], *, gone: Sequence[str] = ()) -> None:
        if not expires_at_by_hash and not gone:
            return
        now = self._clock.now()
        arguments: list[float | int] = []
        for expires_at in expires_at_by_hash.values():
            arguments += [expires_at, round((expires_at - now) * 1000)]
        async with self._link.command():
            keys = [self._key("warm", h) for h in (*expires_at_by_hash, *gone)]
            await self._record_script(keys=keys, args=arguments)

    async def record_uncacheable(self, prefix_hash: str, *, ttl_seconds: float) -> None:
        async with self._link.command():
            await self._redis.set(self._key("nothing", prefix_hash), "1", px=round(ttl_seconds * 1000))

    async def stop(self, name: str, *, reason: Reason, ttl_seconds: float) -> None:
        async with self._link.command():
            await self._redis.set(self._key("stop", name), reason, px=max(1, round(ttl_seconds * 1000)))

    async def aclose(self) -> None:
        tasks = [watch.task for watch in self._watches.values()]
        if self._listener is not None:
            tasks.append(self._listener)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._listening.aclose()
        await self._link.aclose()

    @property
    def _channel(self) -> str:
        return f"{self._namespace}:released"

    def _key(self, kind: str, prefix_hash: str) -> str:
        return self._link.key(kind, prefix_hash)

    def _begin_watch(self, prefix_hash: str) -> "_Watch":
        """All waiters of this process for the same lease share one watch, and all watches share one subscription."""
        loop = asyncio.get_running_loop()
        if self._listener is None or self._listener.done():
            self._listener = loop.create_task(self._listen(), name="releases")
        released = asyncio.Event()
        task = loop.create_task(self._watch(prefix_hash, released), name=f"watch of {prefix_hash}")
        watch = self._watches[prefix_hash] = _Watch(task=task, released=released)
        task.add_done_callback(lambda _: self._end_watch(prefix_hash, watch))
        return watch

    def _end_watch(self, prefix_hash: str, watch: "_Watch") -> None:
        """Removes the watch at once, so that nobody joins one that is about to end."""
        watch.task.cancel()
        if self._watches.get(prefix_hash) is watch:
            del self._watches[prefix_hash]

    async def _watch(self, prefix_hash: str, released: asyncio.Event) -> None:
        """Returns when the present holder of the lease no longer holds it."""
        first_owner: str | None = None
        while not released.is_set():
            owner = (await self.look_up([prefix_hash])).get(prefix_hash, Sighting()).lease_owner
            first_owner = first_owner or owner
            if owner is None or owner != first_owner:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await released.wait()

    async def _listen(self) -> None:
        """Listens for releases until Redis fails; the next waiter starts a new listener, and until then polls."""
        pubsub: PubSub = self._listening.pubsub(ignore_subscribe_messages=True)
        try:
            await pubsub.subscribe(self._channel)
            while True:
                message = await pubsub.get_message(timeout=None)
                if message is not None:
                    watch = self._watches.get(message["data"].decode())
                    if watch is not None:
                        watch.released.set()
        except (RedisError, OSError) as error:
            logger.warning("Releases are not heard until Redis is back: %s", error)
        finally:
            with contextlib.suppress(RedisError, OSError):
                await pubsub.aclose()  # type: ignore[no-untyped-call]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _sighting(warm: bytes | str | None, lease: bytes | str | None, nothing: bytes | str | None) -> Sighting:
    text = _text(lease or "")
    owner, _, called_at = text.rpartition(" ")
    return Sighting(
        expires_at=float(warm) if warm is not None else None,
        lease_owner=owner or None,
        called_at=float(called_at or 0) or None,
        is_uncacheable=nothing is not None,
    )
