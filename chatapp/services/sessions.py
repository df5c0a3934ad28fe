"""Whose socket is this? One read of the session store, off the event loop."""

from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from types import SimpleNamespace

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.base import SessionBase

from chatapp.models import User


def session_key_in(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The session cookie among an ASGI scope's headers."""
    for name, value in headers:
        if name == b"cookie":
            try:
                morsel = SimpleCookie(value.decode("latin-1")).get(settings.SESSION_COOKIE_NAME)
            except CookieError:
                return None
            return morsel.value if morsel else None
    return None


def user_of_session(session_key: str | None) -> User | None:
    """The signed-in user, or None: no session, expired, signed out, deactivated, or the password has changed."""
    if not session_key:
        return None
    store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
    session = store(session_key)
    user = get_user(SimpleNamespace(session=session, META={}))  # type: ignore[arg-type]
    return user if isinstance(user, User) and user.is_active else None
