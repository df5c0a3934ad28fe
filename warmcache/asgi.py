"""For ASGI projects: warmcache begins and ends with the server."""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from warmcache import services

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def with_lifespan(application: Application) -> Application:
    """Wraps an application that has no use for ASGI's `lifespan`, as Django's has none: it is answered here, with
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
        except Exception:  # neither may keep a server from starting or from stopping
            logger.exception("warmcache failed at %s", event)
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return
