"""Before a warm-up: the lease of its prefix and the guards' reservation, both or neither, even if cancelled."""

import asyncio
import contextlib
from decimal import Decimal

from warmcache.cache.guards import Accounts, Reservation
from warmcache.core.errors import StoreUnavailable
from warmcache.core.prefix import Prefix
from warmcache.core.reasons import Reason
from warmcache.runtime.state import Runtime


async def claim_and_reserve(
    runtime: Runtime, prefix: Prefix, accounts: Accounts, *, cost_usd: Decimal, owner: str
) -> Reservation | Reason:
    """The guards' reservation, or the reason to skip. A caller without the lease reserves nothing."""
    deepest_hash = prefix.breakpoints[-1].prefix_hash
    try:
        if not await runtime.leases.claim(deepest_hash, owner=owner):
            return Reason.IN_FLIGHT
    except StoreUnavailable:
        return Reason.STORE_UNAVAILABLE
    admitted: Reservation | Reason = Reason.STORE_UNAVAILABLE
    try:
        admitted = await _reserve(runtime, accounts, cost_usd)
    except StoreUnavailable:
        pass
    finally:
        if not isinstance(admitted, Reservation):
            await runtime.leases.give_back([deepest_hash], owner=owner)
    return admitted


async def _reserve(runtime: Runtime, accounts: Accounts, cost_usd: Decimal) -> Reservation | Reason:
    admitting = asyncio.ensure_future(runtime.guards.admit(accounts, cost_usd=cost_usd, policy=runtime.policy.current))
    try:
        return await asyncio.shield(admitting)
    except asyncio.CancelledError:
        # The guards may grant it nevertheless, and nobody else would know.
        runtime.tasks.spawn(_refund(runtime, admitting), name="refund")
        raise


async def _refund(runtime: Runtime, admitting: asyncio.Future[Reservation | Reason]) -> None:
    with contextlib.suppress(StoreUnavailable):
        admitted = await admitting
        if isinstance(admitted, Reservation):
            await runtime.guards.refund(admitted)
