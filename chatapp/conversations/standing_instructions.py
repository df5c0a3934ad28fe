"""What a person wants in each of their conversations. It stands where the person's salt does, at the beginning of the
`conversation` layer: what all people share of an assistant stays shared. Called in a database thread.

It is part of the prefix, so a change begins a new version of every history of the person: the next message in each
reads everything anew.
"""

from django.db.models import F

from chatapp.models import Conversation, User

MAX_CHARS = 4_000
"""About a thousand tokens, which are read with each message."""


def of(user_id: int) -> str:
    found = User.objects.filter(pk=user_id).values_list("instructions", flat=True).first()
    return found or ""


def change(user: User, text: str) -> bool:
    """Returns whether they are others now. Every conversation gets a new version, so that processes that have one
    prepared read it again.

    In two transactions, the text first: a conversation that was prepared from the old one is committed by then, and
    gets its new version too.
    """
    if not User.objects.filter(pk=user.pk).exclude(instructions=text).update(instructions=text):
        return False
    Conversation.objects.filter(user=user).order_by().update(version=F("version") + 1)
    user.instructions = text
    return True
