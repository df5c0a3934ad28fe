"""Keeps the list of a person's sessions up to date, behind the answer of each page."""

import logging
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from chatapp.accounts import open_sessions
from chatapp.accounts.sign_in_limits import address_of

logger = logging.getLogger(__name__)


class SessionNotesMiddleware:
    """After Django's authentication, which it needs."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        try:
            # Reading the session would make an answer that is the same for all one for each.
            if request.session.accessed and request.user.is_authenticated and request.session.session_key:
                open_sessions.note(request.user, request.session.session_key, **told_by(request))
        except DatabaseError as error:
            logger.warning("A session could not be noted in its person's list: %s", error)
        return response


def told_by(request: HttpRequest) -> dict[str, Any]:
    return {"user_agent": request.headers.get("User-Agent", ""), "address": address_of(request)}
