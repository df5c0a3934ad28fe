"""ASGI lifespan: start and end of the process on other ASGI servers. Our own server does both by itself."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from chatapp.process import lifecycle, shutdown

logger = logging.getLogger(__name__)


async def application(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """The server closes the sockets before it sends the shutdown event; running replies end as `interrupted`."""
    await receive()
    try:
        await lifecycle.startup()
    except Exception:
        logger.exception("The server could not start.")
        # The server would take an exception to mean that lifespan is not supported, and would continue without it.
        await send({"type": "lifespan.startup.failed", "message": "The server could not start."})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await shutdown.of_application().run()
    await send({"type": "lifespan.shutdown.complete"})
