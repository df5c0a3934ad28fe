"""The Redis in which processes count together what belongs to no row: places of sockets, and forms.

Without Redis, or while it does not answer, each process counts by itself: a bound is then as many times higher as there
are processes, and nobody is refused because of an outage.
"""

import asyncio

from django.conf import settings

from warmcache.stores.redis_link import RedisLink

NAMESPACE = "chat"

_link: tuple[asyncio.AbstractEventLoop, RedisLink] | None = None


def link() -> RedisLink | None:
    """The connection of this event loop; None where there is no Redis."""
    global _link
    if not settings.REDIS_URL:
        return None
    loop = asyncio.get_running_loop()
    if _link is None or _link[0] is not loop:
        lost = "each process counts sockets and forms by itself"
        _link = loop, RedisLink(settings.REDIS_URL, namespace=NAMESPACE, lost=lost)
    return _link[1]


async def close() -> None:
    """Closes the connections at the end of the process."""
    global _link
    open_link, _link = _link, None
    if open_link is not None:
        await open_link[1].aclose()
