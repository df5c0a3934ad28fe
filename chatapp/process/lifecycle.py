"""What the server does before its first request. What it does after its last: see `chatapp.process.shutdown`."""

from chatapp.replies import actions
from warmcache import services as warmcache


async def startup() -> None:
    """From now on this process says that it lives, and ends what a process that died has left running."""
    await actions.begin()
    await warmcache.start()
