"""A person's own sessions: where they were begun, when they were last used, and how to end them.

Whether a session lives is decided by Django's row alone. The rows here say whose it is, which Django's does not tell
without being decoded. `end_all` does without them, so that it ends what they have missed, too.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from datetime import timedelta
from importlib import import_module

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import F
from django.utils import timezone

from chatapp.accounts import session_ends, sessions
from chatapp.accounts.devices import words_for
from chatapp.models import OpenSession, User

logger = logging.getLogger(__name__)

NOTED_AGAIN_AFTER = timedelta(minutes=5)
"""As exactly as a person is told when a session was last used; a request between costs no statement."""
MAX_REMEMBERED = 20_000

_noted: OrderedDict[str, float] = OrderedDict()
"""When this process has last written each session's row. The least recently used one is forgotten first."""


def note(user: User, session_key: str, *, user_agent: str, address: str | None) -> None:
    """Keeps a session's row up to date. Called after each page of a signed-in person."""
    now = time.monotonic()
    if now - _noted.get(session_key, float("-inf")) < NOTED_AGAIN_AFTER.total_seconds():
        return
    write(user, session_key, user_agent=user_agent, address=address)
    _noted[session_key] = now
    _noted.move_to_end(session_key)
    while len(_noted) > MAX_REMEMBERED:
        _noted.popitem(last=False)


def write(user: User, session_key: str, *, user_agent: str, address: str | None) -> None:
    """One statement, which two requests of a new session may run at once."""
    row = OpenSession(session_key=session_key, user=user, device=words_for(user_agent), address=address)
    changed = ("user", "device", "address", "seen_at")
    OpenSession.objects.bulk_create([row], update_conflicts=True, unique_fields=("session_key",), update_fields=changed)


def note_sockets(session_keys: Collection[str]) -> None:
    """Of open pages, which may send nothing over HTTP for days."""
    OpenSession.objects.filter(session_key__in=session_keys).update(seen_at=timezone.now())


def of(user: User) -> Sequence[OpenSession]:
    """Those that are alive, the most recently used first."""
    rows = list(OpenSession.objects.filter(user=user))
    living = sessions.signed_in_among(row.session_key for row in rows)
    return [row for row in rows if row.session_key in living]


def end(user: User, number: int) -> bool:
    """Ends one session, with its sockets. False: it is not the person's, or has ended already."""
    row = OpenSession.objects.filter(user=user, pk=number).first()
    if row is None:
        return False
    row.delete()
    import_module(settings.SESSION_ENGINE).SessionStore().delete(row.session_key)
    return True


def end_all(user: User) -> None:
    """Ends every session, with its sockets; whoever asked signs its own in again."""
    User.objects.filter(pk=user.pk).update(sessions_ended=F("sessions_ended") + 1)
    user.refresh_from_db(fields=["sessions_ended"])
    OpenSession.objects.filter(user=user).delete()
    session_ends.announce(user.pk)


def sweep() -> None:
    """Forgets rows whose sessions are gone."""
    OpenSession.objects.exclude(session_key__in=Session.objects.values("session_key")).delete()
