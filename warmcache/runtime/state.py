"""The state of one event loop, from its first call to its close."""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from warmcache.background.database import in_database_thread
from warmcache.background.tasks import TaskOwner
from warmcache.background.timers import Timers
from warmcache.cache import beliefs
from warmcache.cache.beliefs import Warmth
from warmcache.cache.guards import Guards
from warmcache.cache.leases import LeaseKeeper
from warmcache.cache.visits import Visits
from warmcache.conf import Config
from warmcache.core.economics import RateSource
from warmcache.core.estimates import Size
from warmcache.core.lifetimes import with_lifetimes
from warmcache.core.ports import Clock, Provider, Purse, WarmthStore
from warmcache.core.prefix import AnyPrompt, LastTurn, Prefix, PreparedPrompt, Request, Ttl, build, prepare
from warmcache.learned.forecasts import Learning
from warmcache.ledger import rollups
from warmcache.ledger.writer import Ledger
from warmcache.operator_policy import PolicyWatch
from warmcache.upstream.earlier_answers import Answers
from warmcache.upstream.late import LateProvider

logger = logging.getLogger(__name__)

HOUSEKEEPING_SECONDS = 5.0
ROLL_UP_SECONDS = 60.0
PRUNE_SECONDS = 3600.0
"""How often the ledger is rolled up; the first time so long after the start."""
CLOSE_PATIENCE_SECONDS = 5.0


@dataclass(slots=True, kw_only=True)
class Runtime:
    """Everything that one event loop owns."""

    config: Config
    provider: Provider | LateProvider
    """For its capabilities; to call it, see `connected`."""
    store: WarmthStore
    clock: Clock
    ledger: Ledger
    rates: RateSource
    policy: PolicyWatch
    learning: Learning
    purse: Purse | None = None
    random: Callable[[], float] = random.random
    """Returns 0 to 1: draws the visits that are held out."""
    guards: Guards = field(init=False)
    visits: Visits = field(init=False)
    leases: LeaseKeeper = field(init=False)
    answers: Answers = field(default_factory=Answers)
    tasks: TaskOwner = field(default_factory=lambda: TaskOwner("warmcache"))
    """Owns the warm-ups."""
    timers: Timers = field(init=False)
    """Decisions that are due later."""
    warming_paused_until: float = 0.0
    """Epoch seconds; the provider asked for less traffic, or refused the key."""
    warm_up_slots: asyncio.Semaphore = field(init=False)
    _rolls_up_at: float = field(init=False)
    _prunes_at: float = 0.0
    _housekeepers: TaskOwner = field(default_factory=lambda: TaskOwner("warmcache"))
    _starters: TaskOwner = field(default_factory=lambda: TaskOwner("warmcache"))
    """Owns the tasks that start warm-ups on their own."""

    def __post_init__(self) -> None:
        self.warm_up_slots = asyncio.Semaphore(self.config.max_concurrent_warm_ups)
        self.guards = Guards(
            store=self.store,
            clock=self.clock,
            config=self.config,
            purse=self.purse,
            read_spent=lambda subject, day: self.ledger.spent_on_warm_ups(
                subject, day, upstream=self.config.upstream, unknown_usd=self.policy.current.max_cost_per_warm_up_usd
            ),
        )
        self.leases = LeaseKeeper(self.store, lease_seconds=self.config.lease_seconds)
        self.visits = Visits(teaches=self.learning.saw_sign)
        self.timers = Timers(clock=self.clock, tasks=self.tasks)
        self._rolls_up_at = self.clock.now() + ROLL_UP_SECONDS

    def build(
        self, prompt: AnyPrompt, turn: LastTurn | None, *, label: str, conversation_ttl: Ttl | None = None
    ) -> Request:
        """The request for `prompt` and its last `turn`, or the warm-up (None), with its tokens as bills let expect
        them and a concrete TTL for `auto`: for the conversation `conversation_ttl`, or five minutes."""
        prepared = self._prepared(prompt)
        settings = prepared.settings
        if conversation_ttl is not None and settings.conversation_ttl == "auto":
            settings = replace(settings, conversation_ttl=conversation_ttl)
        settings = with_lifetimes(settings, self.learning.forecasts(label), self.rates)
        request = build(replace(prepared, settings=settings), turn)
        return replace(request, prefix=self.learning.sized(label, request.prefix))

    def expected_tokens(self, prompt: AnyPrompt, more: Size, *, label: str) -> int:
        """How many tokens a prompt and what follows it are expected to take. Callable from any thread."""
        prepared = self._prepared(prompt)
        return self.learning.expected_tokens(label, prepared.settings.model, prepared.last_positions, more)

    def _prepared(self, prompt: AnyPrompt) -> PreparedPrompt:
        key = self.config.prefix_key
        prepared = prompt if isinstance(prompt, PreparedPrompt) else prepare(prompt, key)
        return prepared if prepared.key == key else prepared.with_key(key)

    async def connected(self) -> Provider:
        """The provider, as soon as it can be called."""
        if isinstance(self.provider, LateProvider):
            self.provider = await self.provider.made()
        return self.provider

    async def warmth_of(self, prefix: Prefix) -> Warmth:
        """The believed warmth of `prefix` now, without a decision."""
        limits, capabilities = self.policy.current.limits, self.provider.capabilities
        return await beliefs.warmth_of(prefix, self.store, clock=self.clock, limits=limits, capabilities=capabilities)

    def start(self) -> None:
        self._housekeepers.spawn(self.ledger.write_forever(), name="ledger")
        self._housekeepers.spawn(self._keep_house(), name="housekeeping")
        self._housekeepers.spawn(self.leases.renew_forever(), name="leases")
        self._housekeepers.spawn(self.policy.watch_forever(), name="policy")
        self._starters.spawn(self.timers.run_forever(), name="timers")
        for companion in _companions:
            self._starters.spawn(companion(self), name=companion.__name__)

    async def close(self, *, patience_seconds: float | None = None) -> None:
        """Ends work in flight, flushes the ledger within `patience_seconds` (5 by default), closes connections."""
        if patience_seconds is None:
            patience_seconds = CLOSE_PATIENCE_SECONDS
        await self._starters.close()
        await self.tasks.close()
        try:
            async with asyncio.timeout(patience_seconds):
                await self.ledger.drain()
                await self.learning.exchange(self.ledger.perform, self.clock.now())
        except TimeoutError:
            waiting = self.ledger.waiting_writes
            logger.error("The ledger could not be flushed in %.1f s; %d writes are lost", patience_seconds, waiting)
        finally:
            await self._housekeepers.close()
            self.ledger.close()
            await self.leases.close()
            await self.store.aclose()
            await self.provider.aclose()

    async def _keep_house(self) -> None:
        await self.ledger.flush()  # the last process may have left rows that no request used
        while True:
            await self._do(self._learn)
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            await self._do(self.guards.note_missed)
            await self._do(self.ledger.flush)
            await self._do(self._roll_up)

    async def _do(self, chore: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Runs one chore. An error in it must not end the others: rows would stay open for ever."""
        try:
            await chore()
        except Exception:
            logger.exception("Housekeeping goes on without %s", chore.__qualname__)

    async def _learn(self) -> None:
        now = self.clock.now()
        self.visits.expire(now)
        await self.learning.exchange(self.ledger.perform, now)

    async def _roll_up(self) -> None:
        """In a thread of its own, so that no row waits; later, while rows wait themselves."""
        now = self.clock.now()
        if now >= self._rolls_up_at and not self.ledger.waiting_writes:
            self._rolls_up_at = now + ROLL_UP_SECONDS
            if await in_database_thread(rollups.catch_up, now, self.rates):
                await self._prune(now)

    async def _prune(self, now: float) -> None:
        """Once an hour; each minute while there is more than one round may delete."""
        keep_days, most = self.policy.current.keep_days, rollups.PRUNED_A_ROUND
        if not keep_days or now < self._prunes_at:
            return
        pruned = await in_database_thread(
            partial(rollups.prune, now, self.rates, keep_days=keep_days, rows_at_once=most)
        )
        if pruned.rows:
            logger.info("%d rows of the ledger from before %s were deleted; their sums stay", pruned.rows, pruned.until)
        self._prunes_at = now + (ROLL_UP_SECONDS if pruned.rows >= most else PRUNE_SECONDS)


_companions: list[Callable[[Runtime], Coroutine[Any, Any, None]]] = []


def accompany(companion: Callable[[Runtime], Coroutine[Any, Any, None]]) -> None:
    """Runs `companion` as a task of every runtime that starts from now on, until that runtime is closed."""
    if companion not in _companions:
        _companions.append(companion)
