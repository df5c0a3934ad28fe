import os

from anthropic import AsyncAnthropic
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from rows.models import Conversation, Message

client = AsyncAnthropic(api_key=os.environ["ANTHROPIC_API_KEY"], base_url=os.environ["ANTHROPIC_BASE_URL"])


class ChatConsumer(AsyncJsonWebsocketConsumer):
    async def connect(self):
        self.conversation = await Conversation.objects.acreate()
        await self.accept()

    async def receive_json(self, content):
        await Message.objects.acreate(conversation=self.conversation, role="user", content=content["text"])
        history = [
            {"role": message.role, "content": message.content}
            async for message in Message.objects.filter(conversation=self.conversation).order_by("id")
        ]
        stream = await client.messages.create(model="claude-sonnet-5-5", max_tokens=4096, messages=history, stream=True)
        reply = ""
        async for event in stream:
            if event.type == "content_block_delta":
                reply += event.delta.text
                await self.send_json({"type": "token", "text": event.delta.text})
        await Message.objects.acreate(conversation=self.conversation, role="assistant", content=reply)
        await self.send_json({"type": "done"})
