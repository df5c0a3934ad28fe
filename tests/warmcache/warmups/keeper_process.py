"""One process that takes part in keeping a shared layer: `python -m tests.warmcache.warmups.keeper_process REDIS_URL`.

Without a database. Prints its keeper's name, then a line for each warm-up that it sends; ends when it is killed.
"""

import asyncio
import sys

import django
from django.conf import settings

LEASE_SECONDS = 300.0
"""So long that no machine is too slow to renew it."""
ROUND_SECONDS = 0.1


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(redis_url: str) -> None:
    from warmcache.core.shared_layers import Arrivals
    from warmcache.models import WarmPolicy
    from warmcache.operator_policy import PolicyWatch
    from warmcache.runtime.wiring import SystemClock
    from warmcache.stores.redis import RedisWarmthStore
    from warmcache.testing import FakeProvider, fake_runtime, make_prompt
    from warmcache.warmups import keeper, shared_layers

    keeper.LEASE_SECONDS = LEASE_SECONDS
    keeper.arrivals_at = lambda now, labels, upstream: dict.fromkeys(labels, Arrivals(recent=9))
    prompt = make_prompt(system_tokens=15_000, shared_ttl="1h")
    shared_layers.register_shared_layers(lambda: [shared_layers.SharedLayer(label="guide", load=lambda: prompt)])
    clock = SystemClock()
    provider = FakeProvider(clock=clock)  # type: ignore[arg-type]
    store = RedisWarmthStore(clock=clock, url=redis_url)
    async with fake_runtime(clock=clock, provider=provider, store=store, has_database=False) as fake:  # type: ignore[arg-type]
        fake.runtime.policy = PolicyWatch(fake.runtime.config, read=lambda: WarmPolicy(keeps_shared_layers=True))
        await fake.runtime.policy.refresh()
        ours = keeper.Keeper(fake.runtime)
        tell(ours.name)
        told = 0
        while True:
            await ours.take_turn()
            for _ in range(provider.warm_up_count - told):
                tell("warmed")
            told = provider.warm_up_count
            await asyncio.sleep(ROUND_SECONDS)


if __name__ == "__main__":
    settings.configure(SECRET_KEY="test", INSTALLED_APPS=["warmcache"], USE_TZ=True)
    django.setup()
    asyncio.run(main(sys.argv[1]))
