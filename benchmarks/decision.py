"""What one decision costs: the CPU time of `consider_prefix` for a known prefix, with the in-memory store.

Every typing frame takes this path: look up what is warm, weigh it, count the skip. It runs no SQL, no hashing and no
network call; the target is 150 microseconds.
"""

import asyncio
import statistics
import time

from warmcache import services
from warmcache.cache.beliefs import record_warm
from warmcache.core.prefix import Prefix
from warmcache.core.usage import Usage
from warmcache.testing import fake_runtime, make_prompt

TARGET_MICROSECONDS = 150
DECISIONS = 2000
ROUNDS = 7


def run() -> None:
    """Prints the median of several rounds, for a cold prefix and for a warm one."""
    asyncio.run(_measure())


async def _measure() -> None:
    async with fake_runtime(has_database=False) as fake:
        prefix = services.outline(make_prompt(system_tokens=60_000, turns=20))
        await _print("cold, so all is weighed", prefix)
        await record_warm(fake.runtime.store, prefix, fake.clock.now(), Usage(cache_write_tokens=prefix.prefix_tokens))
        await _print("warm", prefix)
        fake.clock.advance(0.9 * 300)
        await _print("near its end, so all is weighed", prefix)


async def _print(what: str, prefix: Prefix) -> None:
    rounds = [await _round(prefix) for _ in range(ROUNDS)]
    told = f"median {statistics.median(rounds):.0f}, least {min(rounds):.0f}, most {max(rounds):.0f} microseconds"
    print(f"  {what}: {told} (target {TARGET_MICROSECONDS})", flush=True)


async def _round(prefix: Prefix) -> float:
    began = time.process_time()
    for _ in range(DECISIONS):
        await services.consider_prefix(prefix, intent="typing", label="bench", subject="ann", chars=5)
    return (time.process_time() - began) / DECISIONS * 1e6
