"""One line for each request, without content: the route that answered, not the path, which anybody may write into."""

import logging
import time
from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from chatapp import log_context

logger = logging.getLogger("chatapp.access")

PROBES = ("/healthz", "/readyz", "/metrics")
HEADER = "X-Request-Id"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
Answer = Callable[[HttpRequest], HttpResponseBase]
AsyncAnswer = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@sync_and_async_middleware
def access_log(get_response: Answer | AsyncAnswer) -> Answer | AsyncAnswer:
    """The outermost middleware: gives the request its id, which the answer's header `X-Request-Id` tells."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            began_at = _begin()
            return _end(request, await get_response(request), began_at)

        return answer_async

    def answer(request: HttpRequest) -> HttpResponseBase:
        began_at = _begin()
        return _end(request, get_response(request), began_at)  # type: ignore[arg-type]

    return answer


def _begin() -> float:
    log_context.bind(request=log_context.new_request_id())
    return time.monotonic()


def _end(request: HttpRequest, response: HttpResponseBase, began_at: float) -> HttpResponseBase:
    response.headers[HEADER] = log_context.bound()["request"]
    is_well_probe = request.path_info in PROBES and response.status_code < 400
    if settings.ACCESS_LOG and not is_well_probe:
        method = request.method if request.method in METHODS else "other"
        fields = {
            "method": method,
            "route": _route(request),
            "status": response.status_code,
            "milliseconds": round((time.monotonic() - began_at) * 1000, 1),
            **_person(request),
        }
        logger.info("%s %s %d", method, fields["route"], response.status_code, extra={"fields": fields})
    return response


def _route(request: HttpRequest) -> str:
    if request.path_info.startswith(settings.STATIC_URL):
        return settings.STATIC_URL
    match = request.resolver_match
    return "/" + match.route if match is not None else "(none)"


def _person(request: HttpRequest) -> dict[str, str]:
    """Whoever the request was found to be from. Asks the database for nobody."""
    user = getattr(request, "_cached_user", None) or getattr(request, "_acached_user", None)
    return {"person": str(user.pk)} if user is not None and user.pk else {}
