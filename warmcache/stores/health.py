"""Whether Redis answers, asked from synchronous code."""

PATIENCE_SECONDS = 1.0


def answers(redis_url: str) -> bool:
    """One ping over a connection of its own; a page waits for it a second at most."""
    import redis

    try:
        client = redis.Redis.from_url(
            redis_url, socket_connect_timeout=PATIENCE_SECONDS, socket_timeout=PATIENCE_SECONDS
        )
        with client:
            return bool(client.ping())
    except redis.RedisError:
        return False
