"""Gives conversations that are older than salts their owner's salt, once no prompt cache can hold them any more.

While such a conversation is warm it keeps its bytes: a changed beginning would make all of it cold.
"""

from datetime import timedelta

from django.db.models import Exists, F, OuterRef, Subquery
from django.utils import timezone

from chatapp.conversations.reply_states import STREAMING
from chatapp.models import Conversation, Message, User
from warmcache.core.ttl import TTL_SECONDS

AT_ONCE = 500


def salt_the_cold() -> int:
    """Returns how many have got one. Called in a database thread."""
    coldest = timezone.now() - timedelta(seconds=max(TTL_SECONDS.values()))
    running = Message.objects.filter(conversation=OuterRef("pk"), status=STREAMING)
    cold = Conversation.objects.filter(cache_salt="", updated_at__lt=coldest).exclude(Exists(running))
    of_owner = Subquery(User.objects.filter(pk=OuterRef("user")).values("cache_salt"))
    count = 0
    while ids := list(cold.order_by().values_list("pk", flat=True)[:AT_ONCE]):
        count += cold.filter(pk__in=ids).update(cache_salt=of_owner, version=F("version") + 1)
    return count
