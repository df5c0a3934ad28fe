import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rows.settings")
http = get_asgi_application()

from rows.consumers import ChatConsumer  # noqa: E402  the apps must be ready

application = ProtocolTypeRouter(
    {"http": http, "websocket": URLRouter([path("ws/", ChatConsumer.as_asgi())])},
)
