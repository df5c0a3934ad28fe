"""Start and end of the process on ASGI servers that tell of them. `chatapp.server` calls `lifecycle` by itself."""

from collections.abc import Awaitable, Callable
from typing import Any

from chatapp.services import lifecycle


async def application(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """The server closes the sockets before it tells of the end; replies that still run end as `interrupted`."""
    await receive()
    await lifecycle.startup()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await lifecycle.shutdown()
    await send({"type": "lifespan.shutdown.complete"})
