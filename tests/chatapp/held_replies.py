"""Replies that begin and then hang, so that a test can do things in the middle of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chatapp.models import Message
from tests.chatapp.sockets import Tab, eventually
from tests.servers.chat_server import SimulatorControl
from warmcache.background.database import in_database_thread


async def begin_held_reply(tab: Tab, simulator: SimulatorControl, **place: Any) -> dict[str, Any]:
    """A reply that has begun to show text and then says nothing more; gives its `reply.started`."""
    simulator.script(tokens=400)
    simulator.fault(kind="stall", where="after_first_token", match="reply", after_tokens=64)
    await tab.say("A question", **place)
    started = await tab.until("reply.started")
    await tab.until("reply.delta")
    return started


async def reply_row(reply_id: str) -> Message:
    return await in_database_thread(Message.objects.get, pk=reply_id)


async def until_hung_up(simulator: SimulatorControl) -> None:
    """The newest request's client has gone, as the simulator saw it."""

    async def is_hung_up() -> bool:
        return simulator.requests()[-1]["hung_up"]

    await eventually(is_hung_up)


def hold_next_reply(simulator: SimulatorControl) -> None:
    """It begins to show its text, and the rest comes at the end of `breath_held`."""
    simulator.script(tokens=200)
    simulator.fault(kind="stall", where="after_first_token", match="reply", after_tokens=64)


@contextmanager
def breath_held(simulator: SimulatorControl) -> Iterator[None]:
    """The reply that is held says nothing meanwhile, and afterwards goes on where it was."""
    yield
    simulator.release()
