"""What the server does before its first request. What it does after its last: see `chatapp.process.shutdown`."""

from chatapp.services import replies, running_replies
from warmcache import services as warmcache


async def startup() -> None:
    """From now on this process says that it lives, and ends what a process that died has left running."""
    await running_replies.begin(before_told=replies.offer_queue_behind, after_end=replies.tell_of_end)
    await warmcache.start()
