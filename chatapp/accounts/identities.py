"""Whose account a sign-in by OpenID Connect opens, and when it makes or takes one.

An account is found by the provider's own name for the person, which never changes, and only then by anything else. A
mail address is no proof by itself: an account's own address is not verified here, so that somebody could have written
another's into theirs and waited. Where the operator lets verified addresses decide (`OIDC_LINK_BY_MAIL`), whoever has
the account's password is out from then on.
"""

import re
import unicodedata

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from chatapp.accounts import invitations, open_sessions
from chatapp.accounts.oidc import Claims, Refusal, RefusedError
from chatapp.models import Identity, User

NOT_IN_NAMES = re.compile(r"[^\w.@+-]+")
MAX_NAME_CHARS = 140
TRIES = 5


def person_of(claims: Claims, *, invitation: str) -> User:
    """Who has signed in: known, taken over by a verified address, or new. Raises `RefusedError`."""
    known = Identity.objects.select_related("user").filter(issuer=claims.issuer, subject=claims.subject).first()
    if known is not None:
        return _active(known.user)
    if namesakes := _with_address(claims.email):
        if len(namesakes) > 1 or not _may_be_taken(namesakes[0]):
            raise RefusedError(Refusal.ADDRESS_IS_TAKEN)
        return _taken(_active(namesakes[0]), claims)
    return _new(claims, invitation)


def connect(person: User, claims: Claims) -> None:
    """For somebody who is signed in, and has given the password. Raises `RefusedError`."""
    try:
        with transaction.atomic():
            Identity.objects.create(user=person, issuer=claims.issuer, subject=claims.subject)
    except IntegrityError:
        is_another_s = Identity.objects.filter(issuer=claims.issuer, subject=claims.subject).exclude(user=person)
        raise RefusedError(Refusal.OF_ANOTHER if is_another_s.exists() else Refusal.HAS_ONE) from None


def disconnect(person: User) -> bool:
    """False where it is the only way in."""
    if not person.has_usable_password():
        return False
    Identity.objects.filter(user=person).delete()
    return True


def is_connected(person: User) -> bool:
    return Identity.objects.filter(user=person, issuer=settings.OIDC_ISSUER).exists()


def _active(person: User) -> User:
    if not person.is_active:
        raise RefusedError(Refusal.DEACTIVATED)
    return person


def _with_address(email: str) -> list[User]:
    return list(User.objects.filter(email__iexact=email)[:2]) if email else []


def _may_be_taken(person: User) -> bool:
    is_of_staff = person.is_staff or person.is_superuser
    return settings.OIDC_LINK_BY_MAIL in (("staff",) if is_of_staff else ("people", "staff"))


def _taken(person: User, claims: Claims) -> User:
    """The account belongs to who has the address. A second factor stays and is asked for."""
    with transaction.atomic():
        connect(person, claims)
        person.set_unusable_password()
        person.save(update_fields=["password"])
        open_sessions.end_all(person)
    return person


def _new(claims: Claims, invitation: str) -> User:
    is_open = settings.OPEN_REGISTRATION or settings.OIDC_REGISTRATION
    if not invitation and not is_open:
        raise RefusedError(Refusal.NO_ACCOUNT)
    for number in range(1, TRIES + 1):
        person = User(username=_free_name(claims.name), email=claims.email)
        person.set_unusable_password()
        try:
            with transaction.atomic():
                if not invitation:
                    person.save()
                elif not invitations.accept(invitation, person, now=timezone.now()):
                    raise RefusedError(Refusal.NO_ACCOUNT)
                connect(person, claims)
            return person
        except IntegrityError:
            # Somebody else has taken the name at the same moment.
            if number == TRIES:
                raise
    raise AssertionError("every try returns or raises")


def _free_name(wanted: str) -> str:
    """The name at the provider, or one like it that nobody has, whatever its letters' case."""
    plain = NOT_IN_NAMES.sub("-", unicodedata.normalize("NFKC", wanted)).strip("-.")[:MAX_NAME_CHARS] or "person"
    taken = {
        name.lower() for name in User.objects.filter(username__istartswith=plain).values_list("username", flat=True)
    }
    numbered = (f"{plain}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (plain, *numbered) if name.lower() not in taken)
