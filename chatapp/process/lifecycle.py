"""What the server does before its first request and after its last."""

from chatapp import events
from chatapp.process import draining
from chatapp.replies import actions, registry
from warmcache import services as warmcache


async def startup() -> None:
    """From now on this process says that it lives, and ends what a process that died has left running."""
    await actions.begin()
    await warmcache.start()


async def drain() -> None:
    """Lets replies finish and sends the pages elsewhere; see `draining`."""
    actions.leave_the_queue()
    await draining.drain()


async def shutdown() -> None:
    """Running replies end as `interrupted` with their text stored; the ledger is flushed, connections are closed."""
    await registry.interrupt_all()
    await warmcache.close()
    await events.close()
