"""How many sockets a person or an address has: over all processes where there is Redis, else in this one.

    chat:places:<name>         hash: for each process, how many of them it has
    chat:process:<process>     lives as long as the process says so

A socket is counted here first and then asked for in one round trip, when it opens. Each process writes its own counts
as whole numbers, never as differences, so that a lost answer leaves nothing behind; and the counts of a process that
died are not added any more as soon as its lease has run out. A process whose lease was gone (Redis was emptied, the
process stood still) writes all its counts again.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Collection
from uuid import uuid4

from chatapp.quotas import common
from warmcache.background.tasks import TaskOwner
from warmcache.core.errors import StoreUnavailable
from warmcache.stores.redis_link import RedisLink, ScriptCall

logger = logging.getLogger(__name__)

BEAT_SECONDS = 2.0
LEASE_SECONDS = 6.0
"""A process that died holds places for so long. Three beats: one that is late loses nothing."""

FORGET_SECONDS = 24 * 3600
"""Of names of which nobody writes any more. Longer than a socket lives."""

TAKE = """
local total = tonumber(ARGV[2])
local counts = redis.call('HGETALL', KEYS[1])
for i = 1, #counts, 2 do
  if counts[i] ~= ARGV[1] then
    if redis.call('EXISTS', ARGV[4] .. counts[i]) == 1 then
      total = total + counts[i + 1]
    else
      redis.call('HDEL', KEYS[1], counts[i])
    end
  end
end
if total > tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1
"""


class Places:
    """One per process, for names of any kind."""

    def __init__(self, *, process: str | None = None) -> None:
        self._process = process or uuid4().hex
        self._own = Counter[str]()
        self._changed: set[str] = set()
        self._has_lease = False
        self._has_changes = asyncio.Event()
        self._turn = asyncio.Lock()
        self._tasks = TaskOwner("places")

    def count(self, name: str) -> int:
        """Those of this process."""
        return self._own[name]

    async def admits(self, name: str, most: int) -> bool:
        """Takes a place; False if there is none. Whoever gets one must `leave`."""
        self._own[name] += 1  # others of this process ask while this one waits for its answer
        is_admitted = False
        try:
            is_admitted = self._own[name] <= most and await self._is_free(name, most)
        finally:
            if not is_admitted:
                self.leave(name)
        return is_admitted

    def leave(self, name: str) -> None:
        """Gives a place back. Redis hears of it in a moment, together with others."""
        self._own[name] -= 1
        if self._own[name] <= 0:
            del self._own[name]
        if len(self._tasks):
            self._note_change(name)

    async def close(self) -> None:
        """At the end of the process: its places are free at once."""
        await self._tasks.close()
        link = common.link()
        if link is not None and self._has_lease:
            with contextlib.suppress(StoreUnavailable):
                async with link.command():
                    await link.redis.delete(link.key("process", self._process))
        self._own.clear()
        self._changed.clear()
        self._has_lease = False
        self._has_changes, self._turn = asyncio.Event(), asyncio.Lock()

    async def _is_free(self, name: str, most: int) -> bool:
        link = common.link()
        if link is None:
            return True
        if not len(self._tasks):
            self._tasks.spawn(self._tell_forever(link), name="counts")
        try:
            async with self._turn:  # what is written later is never older
                if not self._has_lease:  # without one, others would not count what is written next
                    await self._beat(link)
                take = ScriptCall(
                    script=link.redis.register_script(TAKE),
                    keys=[link.key("places", name)],
                    arguments=[self._process, self._own[name], most, link.key("process", ""), FORGET_SECONDS],
                )
                [is_free] = await link.run(take)
        except StoreUnavailable:
            self._note_change(name)
            return True
        return bool(is_free)

    def _note_change(self, name: str) -> None:
        self._changed.add(name)
        self._has_changes.set()

    async def _tell_forever(self, link: RedisLink) -> None:
        """Writes what has changed, and now and then that this process lives."""
        loop = asyncio.get_running_loop()
        beat_at = loop.time()
        while True:
            with contextlib.suppress(StoreUnavailable):
                if loop.time() >= beat_at:
                    beat_at = loop.time() + BEAT_SECONDS
                    await self._beat(link)
                await self._tell(link)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(beat_at):
                    await self._has_changes.wait()

    async def _beat(self, link: RedisLink) -> None:
        async with link.command():
            lease = link.key("process", self._process)
            has_lived = await link.redis.set(lease, "1", px=round(LEASE_SECONDS * 1000), get=True)
        self._has_lease = True
        if has_lived is None:
            self._changed.update(self._own)

    async def _tell(self, link: RedisLink) -> None:
        self._has_changes.clear()
        if not self._changed:
            return
        async with self._turn:
            names, self._changed = self._changed, set()
            try:
                await self._write(link, names)
            except StoreUnavailable:
                self._changed |= names
                raise

    async def _write(self, link: RedisLink, names: Collection[str]) -> None:
        async with link.command():
            pipeline = link.redis.pipeline(transaction=False)
            for name in names:
                key, count = link.key("places", name), self._own[name]
                if count:
                    pipeline.hset(key, self._process, str(count))
                    pipeline.expire(key, FORGET_SECONDS)
                else:
                    pipeline.hdel(key, self._process)
            await pipeline.execute()


places = Places()


def of_person(user_id: int) -> str:
    return f"person {user_id}"


def of_address(address: str) -> str:
    return f"address {address}"
