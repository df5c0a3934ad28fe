"""The chat that tutorials show: Channels, Daphne and the SDK; one frame per token, no memory. Served by `daphne`."""

import os

from anthropic import AsyncAnthropic
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path

settings.configure(SECRET_KEY="a tutorial", ALLOWED_HOSTS=["*"], INSTALLED_APPS=["channels"])  # noqa: S106
http = get_asgi_application()
client = AsyncAnthropic(api_key=os.environ["ANTHROPIC_API_KEY"], base_url=os.environ["ANTHROPIC_BASE_URL"])


class ChatConsumer(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content):
        stream = await client.messages.create(
            model="claude-sonnet-5-5",
            max_tokens=4096,
            messages=[{"role": "user", "content": content["text"]}],
            stream=True,
        )
        async for event in stream:
            if event.type == "content_block_delta":
                await self.send_json({"type": "token", "text": event.delta.text})
        await self.send_json({"type": "done"})


application = ProtocolTypeRouter(
    {"http": http, "websocket": URLRouter([path("ws/", ChatConsumer.as_asgi())])},
)
