"""Whether Redis answers: asked from synchronous code, or as the commands of this process have shown."""

import weakref
from typing import Protocol

PATIENCE_SECONDS = 1.0


class Link(Protocol):
    """A connection to Redis that notices when it is lost."""

    @property
    def is_lost(self) -> bool: ...


_links: weakref.WeakSet[Link] = weakref.WeakSet()


def watch(link: Link) -> None:
    """From now on `is_lost` tells of this link."""
    _links.add(link)


def is_lost() -> bool:
    """Whether Redis did not answer a command of this process and is not back yet. Asks nobody, so that a probe does not
    hang where Redis does."""
    return any(link.is_lost for link in list(_links))


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
