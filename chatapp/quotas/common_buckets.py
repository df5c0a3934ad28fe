"""Token buckets over all processes, in Redis: see `token_bucket.py` for the same in memory.

chat:bucket:<name>     the time at which it is full again, epoch seconds of Redis; gone once it is
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chatapp.quotas import common
from warmcache.core.errors import StoreUnavailable
from warmcache.stores.redis_link import ScriptCall

TAKE = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
for i, key in ipairs(KEYS) do
  local capacity, per_second = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local full_at = math.max(now, tonumber(redis.call('GET', key) or '0')) + 1 / per_second
  local wait = full_at - now - capacity / per_second
  if wait > 0.000001 then return tostring(wait) end
  redis.call('SET', key, string.format('%.6f', full_at), 'PX', math.ceil((full_at - now) * 1000))
end
return '0'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    name: str
    capacity: float
    per_second: float


async def wait_seconds(buckets: Sequence[Bucket]) -> float:
    """Takes from one after the other and returns 0, or returns the time until there is something in the first that is
    empty. Also 0 if nobody can tell."""
    link = common.link()
    if link is None:
        return 0.0
    take = ScriptCall(
        script=link.redis.register_script(TAKE),
        keys=[link.key("bucket", bucket.name) for bucket in buckets],
        arguments=[number for bucket in buckets for number in (bucket.capacity, bucket.per_second)],
    )
    try:
        [answer] = await link.run(take)
    except StoreUnavailable:
        return 0.0
    return float(answer)
