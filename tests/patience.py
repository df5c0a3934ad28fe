"""What of `warmcache` gives up by the real clock: a machine that is short of time must not look like a dead server."""

PATIENCES = (
    "warmcache.ledger.writer.FLUSH_PATIENCE_SECONDS",
    "warmcache.cache.leases.CLOSE_PATIENCE_SECONDS",
    "warmcache.operator_policy.FIRST_READ_PATIENCE_SECONDS",
    "warmcache.runtime.state.CLOSE_PATIENCE_SECONDS",
    "warmcache.services.MANUAL_PATIENCE_SECONDS",
    "warmcache.stores.redis.COMMAND_TIMEOUT_SECONDS",
    "warmcache.stores.redis_link.COMMAND_TIMEOUT_SECONDS",
    "warmcache.requests.ending.RECORD_PATIENCE_SECONDS",
    "warmcache.runtime.home.CLOSE_PATIENCE_SECONDS",
    "warmcache.warmups.attempt.ROW_PATIENCE_SECONDS",
)
