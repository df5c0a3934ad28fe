"""Money for the second and later requests of a reply, set aside before each is sent.

What was set aside when the message was sent is for one request. Before another one, the person's accounts must have
what the requests so far have cost and what this one may: otherwise a reply with tools would go past every limit.
"""

import logging
from collections.abc import Sequence
from decimal import Decimal

from django.db import DatabaseError, transaction
from django.db.models import F

from chatapp.models import Message
from chatapp.quotas import charges
from chatapp.quotas.measures import Amount, units_of
from chatapp.replies import estimates
from chatapp.replies.sent_messages import Sent
from warmcache import Result
from warmcache.core.prefix import AnyPrompt

logger = logging.getLogger(__name__)


def set_aside(sent: Sent, prompt: AnyPrompt, so_far: Sequence[Result]) -> None:
    """Raises `FrameError` if a limit does not allow the request. Called in a database thread.

    The row has the sum, so that whoever ends the reply settles all of it. A database that is away stops no reply: what
    was billed is counted at its end.
    """
    reply = sent.reply
    if reply.reserved_usd is None:
        return
    needed = estimates.usd_of_request(sent.conversation.assistant, prompt)
    more = _billed(so_far) + needed - reply.reserved_usd
    if more <= 0:
        return
    try:
        with transaction.atomic():
            Message.objects.filter(pk=reply.pk).update(reserved_usd=F("reserved_usd") + more)
            # Last, because it locks accounts that others wait for.
            at = reply.created_at.timestamp()
            charges.charge(sent.conversation.user_id, Amount(units=units_of(more)), now=at)
    except DatabaseError:
        logger.exception("Nothing could be set aside for another request of reply %s", reply.pk)
        return
    reply.reserved_usd += more


def _billed(results: Sequence[Result]) -> Decimal:
    return sum((result.settlement.cost_usd or Decimal(0) for result in results), start=Decimal(0))
