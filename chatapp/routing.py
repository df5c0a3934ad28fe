"""WebSocket paths."""

from channels.routing import URLRouter
from django.urls import path

from chatapp.consumers import ChatConsumer
from chatapp.origin import SameOriginOnly

websocket_application = SameOriginOnly(URLRouter([path("ws/chat/", ChatConsumer.as_asgi())]))
