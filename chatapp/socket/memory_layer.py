"""The channel layer of a single process: what one part of it tells its sockets.

The one that Channels has looks through all channels and groups for what has expired, at each event and in each socket
that hears of it, starts a task for each hearer and copies the event for it. Here a channel exists as long as its
reader does, so that nothing has to expire.
"""

from typing import Any
from uuid import uuid4

from channels.exceptions import ChannelFull
from channels.layers import BaseChannelLayer

from chatapp.process.mailbox import Mailbox


class MemoryLayer(BaseChannelLayer):
    """All hearers of an event get the same one: they may not change it."""

    extensions = ("groups", "flush")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._channels: dict[str, Mailbox[dict[str, Any]]] = {}
        self._groups: dict[str, dict[str, None]] = {}

    async def new_channel(self, prefix: str = "specific") -> str:
        channel = f"{prefix}.{uuid4().hex}"
        self._channels[channel] = Mailbox()
        return channel

    async def send(self, channel: str, message: dict[str, Any]) -> None:
        """Nobody gets what is sent to a channel without a reader."""
        mailbox = self._channels.get(channel)
        if mailbox is None:
            return
        if mailbox.qsize() >= self.get_capacity(channel):
            raise ChannelFull(channel)
        mailbox.put_nowait(message)

    async def receive(self, channel: str) -> dict[str, Any]:
        """A reader that is cancelled has gone, and its channel with it."""
        mailbox = self._channels.setdefault(channel, Mailbox())
        try:
            return await mailbox.get()
        except BaseException:
            if self._channels.get(channel) is mailbox:
                del self._channels[channel]
            raise

    async def group_add(self, group: str, channel: str) -> None:
        self.require_valid_group_name(group)
        self._groups.setdefault(group, {})[channel] = None

    async def group_discard(self, group: str, channel: str) -> None:
        channels = self._groups.get(group, {})
        channels.pop(channel, None)
        if not channels:
            self._groups.pop(group, None)

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """A hearer that is too far behind misses the event, and the others get it."""
        for channel in self._groups.get(group, ()):
            mailbox = self._channels.get(channel)
            if mailbox is not None and mailbox.qsize() < self.get_capacity(channel):
                mailbox.put_nowait(message)

    async def flush(self) -> None:
        self._channels.clear()
        self._groups.clear()

    async def close(self) -> None:
        """There is nothing to close."""
