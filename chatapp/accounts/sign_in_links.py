"""The one-time link that signs in the person who started the demo on this machine."""

import secrets
from datetime import datetime

from django.utils import timezone

from chatapp.models import SignInLink, User
from chatapp.tokens import hash_of


def create(user: User) -> str:
    """Creates a link and returns its token, which is stored nowhere; deletes links that expired unused."""
    SignInLink.objects.filter(created_at__lt=timezone.now() - SignInLink.LIFETIME).delete()
    token = secrets.token_urlsafe(24)
    SignInLink.objects.create(user=user, token_hash=hash_of(token))
    return token


def find(token: str) -> SignInLink | None:
    return SignInLink.objects.select_related("user").filter(token_hash=hash_of(token)).first()


def consume(token: str, *, now: datetime) -> User | None:
    """Uses up a link and returns its user; None if the link is unknown, used or expired, or its user is deactivated.

    One conditional UPDATE decides: of two requests at once, exactly one finds the row unused. Its conditions concern
    only this row: a join would become a subquery, which PostgreSQL does not evaluate again after waiting for a lock.
    """
    unused = SignInLink.objects.filter(
        token_hash=hash_of(token), used_at=None, created_at__gt=now - SignInLink.LIFETIME
    )
    if unused.update(used_at=now) == 0:
        return None
    link = find(token)
    return link.user if link and link.user.is_active else None
