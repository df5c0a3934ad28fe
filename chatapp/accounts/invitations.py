"""Invitations: a link that lets one person register once, and registration itself."""

import secrets
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from chatapp.models import Invitation, User
from chatapp.tokens import hash_of


def create(*, by: User | None, note: str = "") -> tuple[Invitation, str]:
    """The invitation, and its token, which is stored nowhere."""
    token = secrets.token_urlsafe(24)
    invitation = Invitation.objects.create(
        token_hash=hash_of(token), created_by=by, note=note, expires_at=timezone.now() + Invitation.LIFETIME
    )
    return invitation, token


def is_open(token: str, *, now: datetime) -> bool:
    return _open(token, now).exists()


def accept(token: str, person: User, *, now: datetime) -> bool:
    """Uses an invitation up and stores the person, or does neither. One conditional UPDATE decides, as for sign-in
    links: of two that register at once, one finds it used."""
    with transaction.atomic():
        if not _open(token, now).update(used_at=now):
            return False
        person.save()
        Invitation.objects.filter(token_hash=hash_of(token)).update(used_by=person)
    return True


def _open(token: str, now: datetime) -> QuerySet[Invitation]:
    return Invitation.objects.filter(token_hash=hash_of(token), used_at=None, expires_at__gt=now)
