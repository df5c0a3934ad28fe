"""What the server does before its first request. What it does after its last: see `chatapp.process.shutdown`."""

from chatapp.replies import actions, registry
from warmcache import services as warmcache


async def startup() -> None:
    """From now on this process says that it lives, and ends what a process that died has left running."""
    await registry.begin(before_told=actions.offer_queue_behind, after_end=actions.tell_of_end)
    await warmcache.start()
