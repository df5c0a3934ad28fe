"""For ASGI projects: the end of the server ends warmcache in good order."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from warmcache import services

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def close_at_shutdown(application: Application) -> Application:
    """Wraps an application that has no use for ASGI's `lifespan`, as Django's has none: it is answered here, and
    `warmcache.services.start()` and `close()` called when the server starts and stops."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await application(scope, receive, send)
            return
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await services.start()
            if message["type"] == "lifespan.shutdown":
                await services.close()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    return wrapped
