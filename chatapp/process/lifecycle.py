"""What the server does before its first request. For the end of the process see `chatapp.process.shutdown`."""

from chatapp.replies import actions
from warmcache import services as warmcache


async def startup() -> None:
    """Starts the heartbeat of this process, and the takeover of replies whose process has died."""
    await actions.begin()
    await warmcache.start()
