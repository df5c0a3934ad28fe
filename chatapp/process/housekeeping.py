"""What a process does by itself now and then: deletes what is to be deleted, and indexes messages for the search."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from chatapp import events
from chatapp.accounts import deletions, open_sessions
from chatapp.conversations import attachments, retention, salts, search_index, shared_links, temporary
from chatapp.conversations import deletions as conversation_deletions
from chatapp.process import alerts, loop_watch, open_sockets
from chatapp.replies import registry
from warmcache.background.database import in_database_thread
from warmcache.background.tasks import TaskOwner

logger = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
INDEX_SECONDS = 2.0
"""How soon the search finds a message. A look that finds nothing to do reads an index that is empty."""
SWEEP_SECONDS = 600.0
ALERT_SECONDS = 60.0
BREATH_SECONDS = 0.05
"""Between two steps of a deletion, for the writes of others."""

_tasks = TaskOwner("housekeeping")


def begin() -> None:
    """Called at the start of a server."""
    _tasks.spawn(_again(delete_people, every_seconds=LOOK_SECONDS), name="deletions")
    _tasks.spawn(_again(purge_conversations, every_seconds=LOOK_SECONDS), name="deleted conversations")
    _tasks.spawn(_again(index_messages, every_seconds=INDEX_SECONDS), name="search")
    _tasks.spawn(loop_watch.watch_forever(), name="loop lag")
    _tasks.spawn(_again(sweep, every_seconds=SWEEP_SECONDS), name="sweep")
    if alerts.is_wanted():
        _tasks.spawn(_again(alerts.look, every_seconds=ALERT_SECONDS), name="alerts")


async def close() -> None:
    await _tasks.close()


async def delete_people() -> None:
    """Deletes all who are to be deleted, in steps."""
    for user_id in await in_database_thread(deletions.asked):
        while True:
            deleted = await in_database_thread(deletions.delete_some, user_id)
            await tell_of_deletion(user_id, deleted)
            if deleted.is_done:
                break
            await asyncio.sleep(BREATH_SECONDS)


async def tell_of_deletion(user_id: int, deleted: deletions.Deleted) -> None:
    """After each step: replies stop, and what other processes and Redis hold of it goes."""
    for owner, reply_id in deleted.stopped:
        await events.announce_stop(owner, reply_id)
    if deleted.conversations or deleted.is_done:
        await registry.forget_person(user_id, deleted.conversations)
        await events.announce_erasure(user_id, deleted.conversations)
    if deleted.replies:
        await registry.logs().erase(deleted.replies)


async def purge_conversations() -> None:
    """Hides temporary conversations that are idle, and deletes for good what can no longer be brought back."""
    for left in await in_database_thread(temporary.leave_idle):
        await events.announce_deletion(left.user_id, left.conversation_id)
    await _in_steps(conversation_deletions.purge_some)


async def index_messages() -> None:
    """Lets the search find all messages that are complete."""
    await _in_steps(search_index.index_some)


async def _in_steps(step: Callable[[], int]) -> None:
    """Takes steps until one finds nothing to do."""
    is_more = True
    while is_more:
        is_more = bool(await in_database_thread(step))
        await asyncio.sleep(BREATH_SECONDS if is_more else 0)


async def sweep() -> None:
    """Deletes what is kept no longer, gives old conversations their salt, takes out of the ledger what was written for
    people who are gone, and notes which sessions are in use."""
    await in_database_thread(attachments.sweep)
    await in_database_thread(shared_links.forget_expired)
    await in_database_thread(salts.salt_the_cold)
    for user_id in await in_database_thread(deletions.erase_what_came_late):
        await registry.forget_person(user_id)
    await in_database_thread(open_sessions.sweep)
    await in_database_thread(open_sessions.note_sockets, [socket.session_key for socket in open_sockets.listed()])
    await expire_conversations()


async def expire_conversations() -> None:
    """Deletes what the operator keeps no longer, also from open pages."""
    while expired := await in_database_thread(retention.expire_some):
        for user_id, conversation_id in expired:
            await events.announce_deletion(user_id, conversation_id)
        await asyncio.sleep(BREATH_SECONDS)


async def _again(chore: Callable[[], Coroutine[Any, Any, None]], *, every_seconds: float) -> None:
    while True:
        try:
            await chore()
        except Exception as error:
            logger.warning("Housekeeping (%s) is tried again in %.0f s: %s", chore.__name__, every_seconds, error)
        await asyncio.sleep(every_seconds)
