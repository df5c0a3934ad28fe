"""Noticing a failover: a primary that was demoted keeps its clients and answers PING, so only a write tells.

Who hears that the server is not the primary (any more) lets go of its connections. The next command connects anew, to
whichever server the address names then.
"""

import contextlib
import logging
from typing import Any

from redis.exceptions import BusyLoadingError, ClusterDownError, MasterDownError, ReadOnlyError, ResponseError

logger = logging.getLogger(__name__)

PROBE_LIVES_SECONDS = 10

_ERRORS = (ReadOnlyError, MasterDownError, ClusterDownError, BusyLoadingError)
_WORDS = ("READONLY", "MASTERDOWN", "CLUSTERDOWN", "LOADING")
"""In the error of a script, which has no class of its own."""


def is_not_primary(error: BaseException) -> bool:
    """Whether this error says that the server takes no writes: it is a replica, or not ready."""
    if isinstance(error, _ERRORS):
        return True
    return isinstance(error, ResponseError) and any(word in str(error) for word in _WORDS)


async def write_probe(redis: Any, namespace: str) -> None:
    """Raises unless the server takes writes."""
    await redis.set(f"{namespace}:is-primary", "1", px=PROBE_LIVES_SECONDS * 1000)


async def let_go(error: BaseException, *clients: Any) -> bool:
    """Closes all connections of these clients if the error says that the server is not the primary; returns whether."""
    if not is_not_primary(error):
        return False
    logger.warning("Redis takes no writes, so its connections are given up: %s", error)
    for client in clients:
        with contextlib.suppress(Exception):  # a connection that cannot be closed is gone already
            await client.connection_pool.disconnect()
    return True
