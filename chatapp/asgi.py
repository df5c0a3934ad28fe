"""The ASGI application: HTTP goes to Django, WebSockets to the consumer. It is the same on Daphne and other servers."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatapp.settings")
http_application = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402  the apps must be loaded first

from chatapp.process import addresses, lifespan  # noqa: E402
from chatapp.socket.routing import websocket_application  # noqa: E402

application = addresses.FromClients(
    ProtocolTypeRouter({"http": http_application, "websocket": websocket_application, "lifespan": lifespan.application})
)
