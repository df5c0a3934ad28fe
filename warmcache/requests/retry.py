"""When to retry a failed real request. Only before the first block: otherwise the person would read it twice."""

from collections.abc import Callable

from warmcache.conf import Config
from warmcache.core.errors import UpstreamError
from warmcache.core.failures import Failure

FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 8.0


def pause_before_retry(
    error: UpstreamError, *, tries_done: int, config: Config, jitter: Callable[[], float]
) -> float | None:
    """Seconds until the next attempt; None if there is none. `jitter` returns 0 to 1."""
    if tries_done >= config.max_tries or not error.is_retryable:
        return None
    if error.retry_after_seconds is not None:
        is_short = error.retry_after_seconds <= config.max_retry_after_seconds
        return error.retry_after_seconds if is_short else None
    if error.code is Failure.RATE_LIMITED:
        return None
    return min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** (tries_done - 1)) * jitter()
