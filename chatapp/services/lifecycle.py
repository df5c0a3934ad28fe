"""What the server does before its first request and after its last."""

from django.conf import settings

from chatapp.services import draining, running_replies
from warmcache import services as warmcache
from warmcache.database import in_database_thread


async def startup() -> None:
    """Ends what an earlier process left running, where this one is the only one."""
    if not settings.REDIS_URL:
        await in_database_thread(running_replies.interrupt_orphans)


async def drain() -> None:
    """Lets replies finish and sends the pages elsewhere; see `draining`."""
    await draining.drain()


async def shutdown() -> None:
    """Running replies end as `interrupted` with their text stored; the ledger is flushed, connections are closed."""
    await running_replies.interrupt_all()
    await warmcache.close()
