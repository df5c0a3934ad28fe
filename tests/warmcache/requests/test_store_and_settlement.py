"""Processes that type, send, fail, are cancelled or killed, in any order, against the plainest model of leases.

The real warm-ups and requests of three runtimes on one store, one provider and one ledger. Held against it in every
state: a prefix_hash never has two leaders. Held at the end: nothing is unsettled once the sweep has passed the last
expiry, and what was spent is the sum of the lines.

Time is a fake clock. Redis ends keys by a clock of its own: its leases get an hour more than asked for, and a lease
that has ended by the fake clock is deleted there. So the expiry itself is not Redis's here (the contract tests that),
what happens after it is. A kill cuts a runtime off from the
store and ends its tasks: the leases stay behind, the ledger's rows as well.
"""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from tests.servers import PATIENCE_SECONDS
from tests.servers.redis_server import RedisServer
from warmcache import Purpose
from warmcache.cache.visits import Occasion
from warmcache.conf import Config
from warmcache.core.errors import StoreUnavailable, UpstreamUnavailable
from warmcache.core.origin import Origin
from warmcache.core.ports import WarmthStore
from warmcache.models import Outcome, UsageRecord, WarmUp, WarmUpLine
from warmcache.requests.stream import ResponseStream
from warmcache.runtime.state import Runtime
from warmcache.runtime.wiring import build_runtime
from warmcache.stores.memory import MemoryWarmthStore
from warmcache.stores.redis import RedisWarmthStore
from warmcache.testing import FakeClock, FakeProvider, make_prompt, make_turn
from warmcache.warmups.attempt import prewarm

pytestmark = pytest.mark.django_db(transaction=True)

PROCESSES = 3
LEASE_SECONDS = 15.0
RENEWED_EVERY_SECONDS = LEASE_SECONDS / 3
PROMPTS = (
    make_prompt(),
    make_prompt(name="ann", turns=1),
    make_prompt(name="ann", turns=1, draft_tokens=2000),
    make_prompt(name="bob", turns=2),
)

processes = st.integers(0, PROCESSES - 1)
prompts = st.sampled_from(PROMPTS)


class Witness:
    """What the leases must be, told by what was granted, renewed and given back."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.held: dict[str, tuple[str, float]] = {}

    def holder(self, prefix_hash: str) -> str | None:
        owner, ends_at = self.held.get(prefix_hash, (None, 0.0))
        return owner if ends_at > self.clock.now() else None


class WatchedStore:
    """One process's way to the store, until it is cut."""

    def __init__(self, store: WarmthStore, witness: Witness, *, more_seconds: float) -> None:
        self._store = store
        self._more_seconds = more_seconds
        self._witness = witness
        self.is_cut = False

    def __getattr__(self, name: str) -> Any:
        if self.is_cut and name not in ("aclose", "make_allowances"):
            raise StoreUnavailable("This process is dead.")
        return getattr(self._store, name)

    async def claim(self, prefix_hash: str, *, owner: str, ttl_seconds: float, begins: bool = False) -> bool:
        self._require()
        is_ours = await self._store.claim(
            prefix_hash, owner=owner, ttl_seconds=ttl_seconds + self._more_seconds, begins=begins
        )
        if is_ours:
            assert self._witness.holder(prefix_hash) is None, "two leaders"
            self._witness.held[prefix_hash] = (owner, self._witness.clock.now() + ttl_seconds)
        return is_ours

    async def renew(self, owner_by_hash: Mapping[str, str], *, ttl_seconds: float) -> None:
        self._require()
        await self._store.renew(owner_by_hash, ttl_seconds=ttl_seconds + self._more_seconds)
        for prefix_hash, owner in owner_by_hash.items():
            if self._witness.holder(prefix_hash) == owner:
                self._witness.held[prefix_hash] = (owner, self._witness.clock.now() + ttl_seconds)

    async def release(self, prefix_hash: str, *, owner: str) -> None:
        self._require()
        # Before the store's own answer has come back, another process may hold it already.
        if self._witness.holder(prefix_hash) == owner:
            del self._witness.held[prefix_hash]
        await self._store.release(prefix_hash, owner=owner)

    def _require(self) -> None:
        if self.is_cut:
            raise StoreUnavailable("This process is dead.")


class Cluster:
    """Three processes' worth of runtimes on one loop."""

    more_seconds = 0.0
    """How much longer than asked for the store keeps leases by its own clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.witness = Witness(self.clock)
        self.provider = FakeProvider(clock=self.clock)
        self.running: list[Runtime] = []
        self.sending: set[asyncio.Task[Any]] = set()

    def make_store(self) -> WarmthStore:
        raise NotImplementedError

    async def end_leases(self) -> None:
        """For a store that has a clock of its own."""

    async def start(self) -> None:
        self.provider.hold_warm_ups()
        self.running = [self._new_process() for _ in range(PROCESSES)]

    def _new_process(self) -> Runtime:
        store: Any = WatchedStore(self.make_store(), self.witness, more_seconds=self.more_seconds)
        config = Config(
            upstream="simulator",
            base_url="http://fake",
            secret="test",
            learns=False,
            value_of_second_usd=Decimal(1000),
            lease_seconds=LEASE_SECONDS,
        )
        made = build_runtime(config, provider=self.provider, store=store, clock=self.clock)
        made.start()
        return made

    async def type(self, process: int, prompt: Any) -> None:
        await prewarm(self.running[process], prompt, Occasion(intent="typing", subject=f"s{process}", place="p"))
        await self.settle()

    async def send(self, process: int, prompt: Any) -> None:
        response = ResponseStream(
            self.running[process],
            prompt,
            make_turn(),
            max_tokens=9,
            purpose=Purpose.REPLY,
            origin=Origin(label="", subject=f"s{process}", upstream="simulator"),
        )
        task = asyncio.create_task(_read(response))
        self.sending.add(task)
        task.add_done_callback(self.sending.discard)
        await self.settle()

    async def finish(self) -> None:
        """All calls that are at the provider come to their end."""
        self.provider.release_warm_ups()
        await self.settle()
        self.provider.hold_warm_ups()

    async def cancel(self, process: int) -> None:
        for task in list(self.running[process].tasks._tasks):
            task.cancel()
        await self.settle()

    async def kill(self, process: int) -> None:
        """And another one starts in its place."""
        dead = self.running[process]
        dead.store.is_cut = True  # type: ignore[attr-defined]
        await self.settle()
        await dead.close()
        self.running[process] = self._new_process()

    async def pass_time(self, seconds: float) -> None:
        while seconds > 0:
            step = min(seconds, RENEWED_EVERY_SECONDS)
            seconds -= step
            self.clock.advance(step)
            await self.end_leases()
            for process in self.running:
                await process.leases.renew()
            await self.settle()

    async def sweep(self) -> None:
        for process in self.running:
            await process.ledger.flush()

    async def settle(self) -> None:
        """Everybody goes as far as they can; a command of Redis is a real moment away."""
        for _ in range(5):
            await asyncio.sleep(0.002)

    async def holders(self) -> dict[str, str]:
        hashes = sorted({h for prompt in PROMPTS for h in self.running[0].build(prompt, None, label="").prefix.hashes})
        seen = await self.running[0].store.look_up(hashes)
        return {name: sighting.lease_owner for name, sighting in seen.items() if sighting.lease_owner}

    async def require_leases_as_granted(self) -> None:
        """Once what is on its way to the store has arrived there."""
        for _ in range(round(PATIENCE_SECONDS / 0.005)):
            granted = {name: owner for name in self.witness.held if (owner := self.witness.holder(name))}
            seen = await self.holders()
            if seen == granted:
                return
            await asyncio.sleep(0.005)
        assert seen == granted

    async def close(self) -> None:
        self.provider.release_warm_ups()
        await asyncio.wait_for(asyncio.gather(*self.sending, return_exceptions=True), timeout=PATIENCE_SECONDS)
        for process in self.running:
            await process.tasks.join(timeout_seconds=PATIENCE_SECONDS)
        await self.pass_time(20)
        self.clock.advance(3601)
        await self.sweep()
        for process in self.running:
            await process.close()


async def _read(response: ResponseStream) -> None:
    async with response:
        [event async for event in response]


class MemoryCluster(Cluster):
    def __init__(self) -> None:
        super().__init__()
        self._store = MemoryWarmthStore(clock=self.clock)

    def make_store(self) -> WarmthStore:
        return self._store


class RedisCluster(Cluster):
    more_seconds = 3600.0

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        with Redis.from_url(url) as redis:
            redis.flushall()

    def make_store(self) -> WarmthStore:
        return RedisWarmthStore(clock=self.clock, url=self._url)

    async def end_leases(self) -> None:
        ended = [name for name in self.witness.held if self.witness.holder(name) is None]
        if ended:
            with Redis.from_url(self._url) as redis:
                redis.delete(*(f"warmcache:lease:{name}" for name in ended))
        for name in ended:
            del self.witness.held[name]


class StoreAndSettlement(RuleBasedStateMachine):
    def __init__(self, make_cluster: Any) -> None:
        super().__init__()
        for model in (WarmUpLine, WarmUp, UsageRecord):
            model.objects.all().delete()
        self.loop = asyncio.Runner()
        self.cluster: Cluster = self.loop.run(_made(make_cluster))

    @initialize()
    def start(self) -> None:
        self.loop.run(self.cluster.start())

    @rule(process=processes, prompt=prompts)
    def type(self, process: int, prompt: Any) -> None:
        self.loop.run(self.cluster.type(process, prompt))

    @rule(process=processes, prompt=prompts)
    def send(self, process: int, prompt: Any) -> None:
        self.loop.run(self.cluster.send(process, prompt))

    @rule()
    def finish(self) -> None:
        self.loop.run(self.cluster.finish())

    @rule()
    def fail_the_next_warm_up(self) -> None:
        self.cluster.provider.fail(UpstreamUnavailable("server_error", "no"), kind="warm_up")

    @rule(process=processes)
    def cancel(self, process: int) -> None:
        self.loop.run(self.cluster.cancel(process))

    @rule(process=processes)
    def kill(self, process: int) -> None:
        self.loop.run(self.cluster.kill(process))

    @rule(seconds=st.sampled_from([1.0, 16.0, 301.0]))
    def pass_time(self, seconds: float) -> None:
        self.loop.run(self.cluster.pass_time(seconds))

    @rule()
    def evict(self) -> None:
        self.cluster.provider.evict()

    @rule()
    def sweep(self) -> None:
        self.loop.run(self.cluster.sweep())

    @invariant()
    def leases_are_as_granted(self) -> None:
        if self.cluster.running:
            self.loop.run(self.cluster.require_leases_as_granted())

    def teardown(self) -> None:
        try:
            if self.cluster.running:
                self.loop.run(self.cluster.close())
                self.check_books()
        finally:
            self.loop.close()

    def check_books(self) -> None:
        assert not WarmUp.objects.filter(outcome=Outcome.PENDING).exists()
        assert not WarmUpLine.objects.filter(outcome=Outcome.PENDING).exists()
        spent = WarmUp.objects.aggregate(Sum("cost_usd"))["cost_usd__sum"] or Decimal(0)
        lines = WarmUpLine.objects.aggregate(Sum("cost_usd"))["cost_usd__sum"] or Decimal(0)
        assert spent == lines


async def _made(make_cluster: Any) -> Cluster:
    cluster: Cluster = make_cluster()
    return cluster


SETTINGS = settings(
    max_examples=8,
    stateful_step_count=10,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def test_on_the_store_in_memory_no_hash_has_two_leaders_and_the_books_balance() -> None:
    run_state_machine_as_test(lambda: StoreAndSettlement(MemoryCluster), settings=SETTINGS)


def test_on_redis_no_hash_has_two_leaders_and_the_books_balance(redis_server: RedisServer) -> None:
    run_state_machine_as_test(lambda: StoreAndSettlement(lambda: RedisCluster(redis_server.url)), settings=SETTINGS)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_the_same_for_longer_and_in_other_orders(kind: str, redis_server: RedisServer) -> None:
    make = MemoryCluster if kind == "memory" else (lambda: RedisCluster(redis_server.url))
    longer = settings(SETTINGS, max_examples=100, stateful_step_count=30, derandomize=False)

    run_state_machine_as_test(lambda: StoreAndSettlement(make), settings=longer)
