"""From the first key to the last token, over a socket, the real services and a real simulator."""

import pytest

from chatapp.models import Message
from tests.chatapp.sockets import reply_text
from warmcache import services as warmcache
from warmcache.database import in_database_thread
from warmcache.models import UsageRecord, WarmUp

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_message_typed_and_sent_is_answered_from_a_warm_cache(open_tab, ann, assistant):
    tab = await open_tab(ann)
    await tab.send("conversation.open", conversation_id=None, assistant_id=assistant.pk)
    await tab.until("conversation.state", conversation=None)

    await tab.send("typing.started", conversation_id=None, assistant_id=assistant.pk, chars=1)
    warming = await tab.until("warmth", state="warming")
    warm = await tab.until("warmth", state="warm")
    client_message_id = await tab.say("How is the cache kept warm?", assistant_id=assistant.pk)
    created = await tab.until("message.created")
    started = await tab.until("reply.started")
    finished = await tab.until("reply.finished")

    assert warming["assistant_id"] == warm["assistant_id"] == assistant.pk
    assert created["client_message_id"] == client_message_id
    assert started["parent_id"] == created["message_id"]
    assert started["warmth"] == "hit"
    assert finished["status"] == "complete"
    await warmcache.flush()
    warm_up = await in_database_thread(WarmUp.objects.get)
    assert finished["warm_up_id"] == str(warm_up.pk)
    assert warm_up.outcome == "hit"
    assert finished["usage"]["cache_read_tokens"] >= 0.99 * warm_up.cache_write_tokens > 0
