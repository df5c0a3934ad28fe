"""What the server does before its first request. For the end of the process see `chatapp.process.shutdown`."""

from chatapp.process import housekeeping
from chatapp.replies import actions, traces
from warmcache import services as warmcache


async def startup() -> None:
    """Starts the heartbeat of this process, the takeover of replies whose process has died, and the housekeeping."""
    await actions.begin()
    await warmcache.start()
    traces.begin()
    housekeeping.begin()
