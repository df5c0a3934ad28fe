"""Failed sign-ins: one log line each, and a pause after too many of them, by django-axes.

Three counts over the last quarter of an hour: of one name from one address, of one name from everywhere, and of one
address for all names. The first is small. The others are wide, so that neither somebody who knows a name nor one person
of an office keeps others out, but guessing from many addresses, or through many names, ends as well.
"""

import ipaddress
import logging
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from django.contrib.auth.signals import user_login_failed
from django.db.models import Sum
from django.http import HttpRequest

from chatapp.models import User

logger = logging.getLogger(__name__)

WEIGHTS = (1, 10, 10)
"""By how much wider the limit of each of `AXES_LOCKOUT_PARAMETERS` is than `AXES_FAILURE_LIMIT`."""


class SignInHandler(AxesDatabaseHandler):
    """axes' own, with a limit for each of the three counts."""

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        counts = (
            attempts.aggregate(in_all=Sum("failures_since_start"))["in_all"] or 0
            for attempts in self.get_user_attempts(request, credentials)
        )
        return max(count // weight for count, weight in zip(counts, WEIGHTS, strict=True))

    def reset_user_attempts(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Forgets only this name's failures at this address: signing in as oneself must not clear the rest."""
        deleted, _ = self.filter_user_attempts(request, credentials)[0].delete()
        return int(deleted)


def address_of(request: HttpRequest) -> str | None:
    """Where a request comes from, as the server tells: it has applied a trusted proxy's header already."""
    try:
        return str(ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")))
    except ValueError:
        return None


def watch() -> None:
    """Called once, when the app is ready."""
    user_login_failed.connect(_note_failure, dispatch_uid="sign_in_limits")


def _note_failure(credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any) -> None:
    name = str(credentials.get(User.USERNAME_FIELD, ""))
    # A person may have typed the password into the wrong field.
    told = repr(name) if User.objects.filter(username=name).exists() else "somebody unknown"
    address = (address_of(request) if request is not None else None) or "an unknown address"
    is_paused = getattr(request, "axes_locked_out", False)
    how = "was refused: too many have failed" if is_paused else "failed"
    logger.warning("A sign-in as %s from %s %s.", told, address, how)
