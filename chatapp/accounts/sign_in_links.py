"""The one-time link that lets in the person who started the demo on this machine."""

from datetime import datetime

from django.utils import timezone

from chatapp.models import SignInLink, User


def create(user: User) -> SignInLink:
    """A fresh link. Links that nobody used before they expired are cleared away."""
    SignInLink.objects.filter(created_at__lt=timezone.now() - SignInLink.LIFETIME).delete()
    return SignInLink.objects.create(user=user)


def find(token: str) -> SignInLink | None:
    return SignInLink.objects.select_related("user").filter(token=token).first()


def consume(token: str, *, now: datetime) -> User | None:
    """Uses a link up and tells whom it lets in; None when it is unknown, used, expired, or its user deactivated.

    One conditional UPDATE decides: of two requests at once, exactly one finds the row unused. Its conditions are the
    row's own: with a join it would become a subquery, which PostgreSQL does not look at again after waiting.
    """
    unused = SignInLink.objects.filter(token=token, used_at=None, created_at__gt=now - SignInLink.LIFETIME)
    if unused.update(used_at=now) == 0:
        return None
    link = find(token)
    return link.user if link and link.user.is_active else None
