"""The channel layer between processes: channels_redis' Pub/Sub, whose sockets survive a Redis outage.

It carries what has changed, never the tokens of a reply. While Redis is unreachable, sockets open and stay open, events
still reach the sockets of the sending process, and events for other processes wait. One task per process listens and
subscribes again when Redis is back; then every socket here gets a `news.missed` event, because it has missed the events
of other processes. A server that was demoted delivers events to nobody but its own clients: a write now and then finds
out whether it is still the primary.
"""

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer, RedisPubSubLoopLayer
from channels_redis.utils import _wrap_close, create_pool, decode_hosts
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from chatapp.process.mailbox import Mailbox
from warmcache.stores.redis_failover import let_go, write_probe

logger = logging.getLogger(__name__)

NEWS_MISSED = {"type": "news.missed"}
NEWS_SPREAD_SECONDS = 1.0
"""All sockets read their conversations again, spread over this time."""

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0
COMMAND_SECONDS = 1.5
POLL_SECONDS = 1.0
HEALTH_CHECK_SECONDS = 5
SILENT_SECONDS = 5.0
"""A connection without an answer to a health check for this long is dead."""

CHECK_SECONDS = 5.0
"""How often it is checked that the server is the primary."""

PUBLISHERS = 10
MAX_UNSENT = 1_000
MAX_UNSENT_BYTES = 8 * 1024 * 1024
"""The limit of events that wait for Redis; the oldest are dropped first."""

MAX_NAMES_AT_ONCE = 500
LOST = (RedisError, OSError, TimeoutError)
NAMESPACE = "channels"


class SteadyPubSubLayer(RedisPubSubChannelLayer):
    """`hosts` is as in channels_redis; timeouts, retries and pools are set here."""

    def _get_layer(self) -> "_LoopLayer":
        loop = asyncio.get_running_loop()
        if loop not in self._layers:
            self._layers[loop] = _LoopLayer(*self._args, **self._kwargs, channel_layer=self)
            _wrap_close(self, loop)
        layer: _LoopLayer = self._layers[loop]
        return layer


class _LoopLayer(RedisPubSubLoopLayer):
    def __init__(self, hosts: list[Any] | None = None, **options: Any) -> None:
        super().__init__(hosts=hosts, **options)
        self._shards = [SteadyShard(host, self) for host in decode_hosts(hosts)]  # type: ignore[misc]

    async def _subscribe_to_channel(self, channel: str) -> None:
        self.channels[channel] = Mailbox[bytes]()
        await self._get_shard(channel).subscribe(channel)

    def deliver(self, name: str, data: bytes) -> None:
        """Delivers to the channel, or to the group's channels, in this process."""
        for channel in (name, *self.groups.get(name, ())):
            if channel in self.channels:
                self.channels[channel].put_nowait(data)

    def tell_of_missed_news(self) -> None:
        loop, data = asyncio.get_running_loop(), self.channel_layer.serialize(NEWS_MISSED)
        for channel in list(self.channels):
            loop.call_later(random.uniform(0, NEWS_SPREAD_SECONDS), self.deliver, channel, data)  # noqa: S311


class SteadyShard:
    """One Redis: a connection that listens, and a small pool that publishes. Nothing here raises because of Redis."""

    def __init__(self, host: dict[str, Any], layer: _LoopLayer) -> None:
        self._layer = layer
        own = {"socket_connect_timeout": COMMAND_SECONDS, "health_check_interval": HEALTH_CHECK_SECONDS}
        # A blocking read has no timeout: health checks detect a dead peer.
        self._listening = {**host, **own, "socket_timeout": None, "retry": Retry(NoBackoff(), 0)}
        # One retry, for a connection from before a restart. Each use has a timeout of its own: redis-py's would begin a
        # task and a timer for each command.
        self._publishing = {
            **host,
            **own,
            "socket_timeout": None,
            "retry": Retry(NoBackoff(), 1),
            "max_connections": PUBLISHERS,
        }
        self._begin()

    def _begin(self) -> None:
        self._wanted: set[str] = set()
        self._clients: dict[str, Redis] = {}
        self._pubsub: Any = None
        self._listener: asyncio.Task[None] | None = None
        self._first_try = asyncio.Event()
        self._is_away = False
        self._is_over = False
        self._checked_at = 0.0
        self._commands = asyncio.Lock()
        self._slots = asyncio.Semaphore(PUBLISHERS)
        self._unsent: deque[tuple[str, bytes]] = deque()
        self._unsent_bytes = 0
        self._echoes: Counter[tuple[str, bytes]] = Counter()

    async def subscribe(self, name: str) -> None:
        if name in self._wanted:
            return
        self._wanted.add(name)
        if self._listener is None:
            self._listener = asyncio.get_running_loop().create_task(self._listen(), name="channel layer")
        await self._first_try.wait()
        await self._command("subscribe", [name])

    async def unsubscribe(self, name: str) -> None:
        if name in self._wanted:
            self._wanted.discard(name)
            await self._command("unsubscribe", [name])

    async def publish(self, name: str, data: bytes) -> None:
        if not self._is_away and await self._published(name, data):
            return
        self._layer.deliver(name, data)
        self._unsent.append((name, data))
        self._unsent_bytes += len(data)
        while len(self._unsent) > MAX_UNSENT or self._unsent_bytes > MAX_UNSENT_BYTES:
            self._unsent_bytes -= len(self._unsent.popleft()[1])

    async def flush(self) -> None:
        """Forgets everything and closes the connections."""
        # A cancellation at the very end of a command may get lost: the listener looks at this too.
        self._is_over = True
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait({self._listener})
        for client in self._clients.values():
            await client.aclose(close_connection_pool=True)
        self._begin()

    def _client(self, name: str, options: dict[str, Any]) -> Redis:
        if name not in self._clients:
            self._clients[name] = Redis(connection_pool=create_pool(options))
        return self._clients[name]

    async def _published(self, name: str, data: bytes) -> bool:
        try:
            async with self._slots, asyncio.timeout(2 * COMMAND_SECONDS):
                await self._client("publish", self._publishing).publish(name, data)
        except LOST:
            return False
        return True

    async def _command(self, command: str, names: Iterable[str]) -> None:
        """Runs it on the listening connection, if there is one; a new connection subscribes to everything anyway."""
        async with self._commands:
            pubsub = self._pubsub
            if pubsub is None:
                return
            try:
                async with asyncio.timeout(COMMAND_SECONDS):
                    await getattr(pubsub, command)(*names)
            except LOST:
                self._pubsub = None

    async def _listen(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._is_over:
            try:
                await self._connect()
                pause = FIRST_PAUSE_SECONDS
                await self._read()
            except LOST as error:
                self._lose(error)
            except Exception:
                logger.exception("The channel layer's listener failed")
                self._lose(None)
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _connect(self) -> None:
        await self._check_primary()
        pubsub = self._client("listen", self._listening).pubsub()
        # The first subscription is a dummy: a connection without any subscription cannot be listened on.
        names = [f"{self._layer.prefix}__listener__", *self._wanted]
        try:
            async with asyncio.timeout(2 * COMMAND_SECONDS):
                for start in range(0, len(names), MAX_NAMES_AT_ONCE):
                    await pubsub.subscribe(*names[start : start + MAX_NAMES_AT_ONCE])
        except BaseException:
            await pubsub.aclose()
            raise
        self._pubsub = pubsub
        self._first_try.set()
        if late := self._wanted.difference(names):
            await self._command("subscribe", sorted(late))
        if self._is_away:
            self._is_away = False
            logger.warning("Redis is back: the channel layer listens again.")
            self._layer.tell_of_missed_news()

    async def _read(self) -> None:
        pubsub = self._pubsub
        try:
            while self._pubsub is pubsub and not self._is_over:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=POLL_SECONDS)
                if message is not None:
                    self._take(message["channel"].decode(), message["data"])
                elif self._unsent:
                    await self._publish_unsent()
                elif _is_silent(pubsub.connection):
                    break
                if asyncio.get_running_loop().time() - self._checked_at >= CHECK_SECONDS:
                    await self._check_primary()
            raise ConnectionError("no answer")
        finally:
            self._pubsub = None
            # Messages that were in flight on this connection are lost.
            self._echoes.clear()
            await pubsub.aclose()

    async def _check_primary(self) -> None:
        """Raises if the server is not the primary, without keeping a connection to it."""
        client = self._client("publish", self._publishing)
        try:
            async with self._slots, asyncio.timeout(2 * COMMAND_SECONDS):
                await write_probe(client, NAMESPACE)
        except LOST as error:
            await let_go(error, client)
            raise
        self._checked_at = asyncio.get_running_loop().time()

    def _take(self, name: str, data: bytes) -> None:
        if self._echoes[name, data] > 0:
            self._echoes[name, data] -= 1
            self._echoes += Counter()
            return
        self._layer.deliver(name, data)

    async def _publish_unsent(self) -> None:
        """Publishes events that waited for Redis. The sockets of this process have them already."""
        while self._unsent:
            name, data = self._unsent[0]
            if name in self._wanted:
                self._echoes[name, data] += 1
            if not await self._published(name, data):
                self._echoes -= Counter({(name, data): 1})
                return
            if self._unsent and self._unsent[0] == (name, data):
                self._unsent.popleft()
                self._unsent_bytes -= len(data)

    def _lose(self, error: BaseException | None) -> None:
        self._first_try.set()
        if not self._is_away:
            self._is_away = True
            logger.warning("Redis cannot be reached (%s): other processes hear nothing for now.", error)


def _is_silent(connection: Any) -> bool:
    """A health check was due long ago, and nothing has come since."""
    due = connection.next_health_check if connection is not None else 0
    return due > 0 and asyncio.get_running_loop().time() - due > SILENT_SECONDS
