"""Finds the signed-in user of a socket, and which sessions have ended: called off the event loop."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from types import SimpleNamespace

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.http.cookie import parse_cookie
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from chatapp.models import User

KEYS_AT_ONCE = 500
"""Below the parameters that any database takes in one statement."""


def session_key_in(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The session cookie among an ASGI scope's headers, read as Django reads it for pages.

    The standard library's parser drops all cookies if one is malformed, as one of another server on this host may be.
    """
    cookies = "; ".join(value.decode("latin-1") for name, value in headers if name == b"cookie")
    return parse_cookie(cookies).get(settings.SESSION_COOKIE_NAME)


def user_of_session(session_key: str | None) -> User | None:
    """The signed-in user, or None: no session, expired, signed out, deactivated, or the password has changed."""
    if not session_key:
        return None
    store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
    session = store(session_key)
    user = get_user(SimpleNamespace(session=session, META={}))  # type: ignore[arg-type]
    return user if isinstance(user, User) and user.is_active else None


def signed_in_among(session_keys: Iterable[str]) -> set[str]:
    """Those that `user_of_session` would find a user for, read in two statements for all of them."""
    return {key for some in _parts(sorted(session_keys)) for key in _signed_in_among(some)}


def _signed_in_among(session_keys: Sequence[str]) -> Iterator[str]:
    living = Session.objects.filter(session_key__in=session_keys, expire_date__gt=timezone.now())
    claims = {key: _claim_of(data) for key, data in living.values_list("session_key", "session_data")}
    user_ids = {user_id for user_id, _ in claims.values() if user_id is not None}
    users = User.objects.filter(pk__in=user_ids, is_active=True).only("password", "sessions_ended").in_bulk()
    hashes = {pk: [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()] for pk, user in users.items()}
    for key, (user_id, claimed) in claims.items():
        if any(constant_time_compare(claimed, right) for right in hashes.get(user_id or 0, ())):
            yield key


@lru_cache(maxsize=4096)
def _claim_of(session_data: str) -> tuple[int | None, str]:
    """The user that a session names, and the hash of the password that it was begun with."""
    store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
    session = store().decode(session_data)
    user_id = session.get(SESSION_KEY)
    return (None if user_id is None else int(user_id)), str(session.get(HASH_SESSION_KEY, ""))


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[start : start + KEYS_AT_ONCE] for start in range(0, len(keys), KEYS_AT_ONCE))
