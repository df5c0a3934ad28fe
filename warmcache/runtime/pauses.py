"""Pauses after a provider limit: no warm-up competes with a person's request."""

from warmcache.core.errors import UpstreamError
from warmcache.core.failures import Failure
from warmcache.runtime.state import Runtime

LONGEST_PAUSE_SECONDS = 3600.0
"""The longest pause: after it the provider is tried again, even if it asked for more."""

PAUSING_CODES = {Failure.RATE_LIMITED, Failure.OVERLOADED, Failure.SPEND_LIMIT, Failure.KEY_REFUSED}


def pause_for_real_traffic(runtime: Runtime, error: UpstreamError) -> None:
    """After a limit at the provider, no warm-up competes with real requests for a while."""
    if error.code in PAUSING_CODES:
        asked = min(error.retry_after_seconds or 0.0, LONGEST_PAUSE_SECONDS)
        seconds = max(runtime.config.pause_after_limit_seconds, asked)
        runtime.warming_paused_until = runtime.clock.now() + seconds
        runtime.tasks.spawn(runtime.guards.pause_upstream(seconds), name="pause")
