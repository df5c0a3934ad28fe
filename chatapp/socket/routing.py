"""WebSocket paths."""

from typing import Any

from channels.routing import URLRouter
from django.urls import path, re_path

from chatapp.socket.consumer import ChatConsumer
from chatapp.socket.origin import SameOriginOnly


async def refuse(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers HTTP 403. Without it, a wrong path would give an HTTP 500 and a traceback in the log."""
    await send({"type": "websocket.close"})


# Django's types allow only views; `URLRouter` takes ASGI applications.
anywhere_else: Any = refuse
websocket_application = SameOriginOnly(
    URLRouter([path("ws/chat/", ChatConsumer.as_asgi()), re_path(r"", anywhere_else)])
)
