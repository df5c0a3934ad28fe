"""What the server does before its first request and after its last."""

from chatapp import events
from chatapp.services import draining, replies, running_replies
from warmcache import services as warmcache


async def startup() -> None:
    """From now on this process says that it lives, and ends what a process that died has left running."""
    await replies.begin()
    await warmcache.start()


async def drain() -> None:
    """Lets replies finish and sends the pages elsewhere; see `draining`."""
    replies.leave_the_queue()
    await draining.drain()


async def shutdown() -> None:
    """Running replies end as `interrupted` with their text stored; the ledger is flushed, connections are closed."""
    await running_replies.interrupt_all()
    await warmcache.close()
    await events.close()
