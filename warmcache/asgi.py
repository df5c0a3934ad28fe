"""The entry point for ASGI projects: warmcache starts and stops with the server."""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from warmcache import services

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]
"""Frameworks differ in how they annotate the three."""


def with_lifespan(application: Application) -> Application:
    """Wraps an application that does not handle ASGI's `lifespan`, such as Django's: the wrapper answers it, and calls
    `warmcache.services.start()` when the server starts and `close()` when it stops."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            await application(scope, receive, send)

    return wrapped


async def _live(receive: Receive, send: Send) -> None:
    while True:
        event = (await receive())["type"]
        try:
            await (services.start() if event == "lifespan.startup" else services.close())
        except Exception:  # an error here must not keep the server from starting or stopping
            logger.exception("warmcache failed at %s", event)
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return
