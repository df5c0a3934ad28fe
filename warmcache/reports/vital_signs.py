"""What a process knows of its own health, and what is left of today's budget, for the host's metrics."""

import time
from dataclasses import dataclass
from decimal import Decimal

from warmcache.background.database import ThreadLoad, thread_load
from warmcache.conf import get_config
from warmcache.core.guards import DAY_SECONDS
from warmcache.ledger.rows import spent_since
from warmcache.operator_policy import OperatorPolicy, policy_in_force, read_row
from warmcache.runtime import wiring
from warmcache.stores import health


@dataclass(frozen=True, slots=True, kw_only=True)
class VitalSigns:
    """Of one process, from memory only."""

    is_redis_lost: bool
    is_paused: bool
    """The provider asked for less traffic, or refused the key: nothing is warmed until the pause is over."""
    waiting_writes: int
    lost_writes: int
    """Of the ledger, since the start."""
    threads: ThreadLoad


def vital_signs() -> VitalSigns:
    """Can be called in any thread of a server."""
    loop = wiring.adopted_loop()
    runtime = wiring.runtime_of(loop) if loop else None
    return VitalSigns(
        is_redis_lost=health.is_lost(),
        is_paused=runtime is not None and runtime.warming_paused_until > runtime.clock.now(),
        waiting_writes=runtime.ledger.waiting_writes if runtime else 0,
        lost_writes=runtime.ledger.dropped_writes if runtime else 0,
        threads=thread_load(),
    )


def policy_and_budget_left(now: float | None = None) -> tuple[OperatorPolicy, Decimal]:
    """The policy in force, and what warm-ups of everybody may still cost this UTC day. Synchronous: two statements."""
    config, now = get_config(), time.time() if now is None else now
    policy = policy_in_force(config, read_row())
    spent = spent_since(
        "", now // DAY_SECONDS * DAY_SECONDS, upstream=config.upstream, unknown_usd=policy.max_cost_per_warm_up_usd
    )
    return policy, max(Decimal(0), policy.daily_usd - spent.usd)
