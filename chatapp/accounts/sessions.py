"""Finds the signed-in user of a socket: one read of the session store, off the event loop."""

from importlib import import_module
from types import SimpleNamespace

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.base import SessionBase
from django.http.cookie import parse_cookie

from chatapp.models import User


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
