"""What went wrong at the provider, as our own errors, with words for the person who waits and for the operator.

The API names a cause by status, `error.type` and `error.details.error_code`. Some causes have none of their own: then
the message decides, by its oldest and most distinct part. A page in place of JSON comes from something in between.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp
import anthropic
import httpx2

from warmcache.core.errors import (
    PrewarmRefused,
    StreamBroken,
    UpstreamError,
    UpstreamRefused,
    UpstreamUnavailable,
)
from warmcache.core.failures import Failure

logger = logging.getLogger(__name__)

MAX_REASON_CHARACTERS = 200
"""Of a gateway's own words in our log."""

TRANSPORT_ERRORS = (httpx2.TransportError, aiohttp.ClientError, ConnectionError, anthropic.APIConnectionError)
_UNREADABLE = (
    json.JSONDecodeError,
    anthropic.APIResponseValidationError,
    UnicodeDecodeError,
    AttributeError,
    TypeError,
)
"""For the last two: the answer is JSON, but not a message."""


def as_upstream_error(error: Exception, *, has_begun: bool, request_id: str = "") -> UpstreamError:
    """Converts any exception of the SDK or its transport into ours."""
    if isinstance(error, UpstreamError):
        return error
    if isinstance(error, anthropic.APITimeoutError | httpx2.TimeoutException):
        if has_begun:
            return StreamBroken(Failure.STREAM_STALLED, "Claude stopped sending in the middle.", request_id=request_id)
        return UpstreamUnavailable(Failure.TIMED_OUT, "Claude did not answer in time.", request_id=request_id)
    if isinstance(error, TRANSPORT_ERRORS):
        if has_begun:
            return StreamBroken(Failure.STREAM_CUT, "The connection to Claude broke mid-reply.", request_id=request_id)
        return UpstreamUnavailable(Failure.UNREACHABLE, "Claude cannot be reached right now.", request_id=request_id)
    if isinstance(error, anthropic.APIStatusError):
        return status_error(error, has_begun=has_begun, request_id=error.request_id or request_id)
    if isinstance(error, UnicodeEncodeError):
        return unsendable()
    if isinstance(error, _UNREADABLE):
        return StreamBroken(Failure.STREAM_MALFORMED, "Claude's answer could not be read.", request_id=request_id)
    raise error


MAX_BODY_BYTES = 32 * 1024 * 1024
"""Of a request, as the API documents it."""


def as_prewarm_refused(error: Exception, told: UpstreamError) -> PrewarmRefused | None:
    """`told` as the refusal of every warm-up, if `max_tokens: 0` is what a gateway refuses; else None.

    Gateways have many words for it, but they name the field. The API itself never answers 422.
    """
    if not isinstance(error, anthropic.APIStatusError) or told.code != _REQUEST_REFUSED[0]:
        return None
    is_about_it = "max_tokens" in str(error.message) and error.status_code == HTTPStatus.BAD_REQUEST
    if not is_about_it and error.status_code != HTTPStatus.UNPROCESSABLE_ENTITY:
        return None
    return PrewarmRefused(told.code, str(error.message)[:MAX_REASON_CHARACTERS], request_id=told.request_id)


def unsendable() -> UpstreamRefused:
    return UpstreamRefused(Failure.REQUEST_REFUSED, "The text has a character that cannot be sent.")


def too_many_bytes(size_bytes: int) -> UpstreamRefused:
    """For a body that the API would refuse unread."""
    megabytes = f"{size_bytes / 1024**2:.0f} MB"
    return UpstreamRefused(
        Failure.PROMPT_TOO_LARGE,
        f"This message and what comes before it take {megabytes}, most of it pictures, and Claude takes at most "
        f"{MAX_BODY_BYTES // 1024**2} MB. Start a new chat, or edit an earlier message to go on from there.",
    )


def not_the_api(*, request_id: str = "") -> UpstreamUnavailable:
    """For a success without a message in it: a proxy's or a gateway's page with status 200."""
    return UpstreamUnavailable(*_NOT_THE_API, request_id=request_id)


def status_error(error: anthropic.APIStatusError, *, has_begun: bool, request_id: str) -> UpstreamError:
    """`has_begun`: the answer had begun when the error came, as an event of a stream whose status is 200."""
    answer = _Answer(
        status=error.status_code,
        type=error.type if isinstance(error.type, str) else "",
        error_code=error.error_code or "",
        message=str(error.message),
    )
    logger.warning(
        "The API answered %d %s to request %s: %s",
        answer.status,
        answer.type or "(not the API's JSON)",
        request_id or "?",
        error.api_message,
    )
    if (refusal := _refusal(answer)) is not None:
        if not has_begun:
            return UpstreamRefused(*refusal, request_id=request_id)
        code, message = refusal
        return StreamBroken(code, f"{message} The reply broke off.", request_id=request_id)
    code, message = _passing_trouble(answer)
    if has_begun:
        return StreamBroken(code, f"{message} The reply broke off.", request_id=request_id)
    return UpstreamUnavailable(
        code, message, request_id=request_id, retry_after_seconds=_retry_after(error.response.headers)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What an error says of itself. `status` is 200 for an `error` event, `type` empty for what is not the API's."""

    status: int
    type: str
    error_code: str
    message: str


_Told = tuple[Failure, str]
"""A code, and the words for the person."""

_KEY_REFUSED = (Failure.KEY_REFUSED, "Claude refuses the API key. The operator has to check ANTHROPIC_API_KEY.")
_NO_PERMISSION = (
    Failure.ACCESS_REFUSED,
    "The API key is valid, but it may not do this: use this model, this feature or this workspace. "
    "The operator has to give it the permission, or choose another model.",
)
_NOT_FROM_HERE = (
    Failure.ACCESS_REFUSED,
    "Claude does not answer requests from where this server stands. The operator has to check its region and network.",
)
_BLOCKED_BETWEEN = (
    Failure.ACCESS_REFUSED,
    "Something between this server and Claude refuses the request, such as a firewall or a proxy. "
    "The operator has to look at it.",
)
_NOT_THE_API = (
    Failure.NOT_THE_API,
    "The answer came from something else than Claude, such as a proxy's page. "
    "The operator has to check ANTHROPIC_BASE_URL and the network.",
)
_WRONG_ADDRESS = (
    Failure.WRONG_ADDRESS,
    "There is no Messages API at the configured address. The operator has to check ANTHROPIC_BASE_URL.",
)
_REQUEST_REFUSED = (
    Failure.REQUEST_REFUSED,
    "Claude does not take this request as it is. Edit your message, or start a new chat. "
    "If that does not help, ask the operator: the server's log says why.",
)
_MODEL_NOT_FOUND = (
    Failure.MODEL_NOT_FOUND,
    "Claude does not know this assistant's model. The operator has to choose another.",
)
_LIMIT_REACHED = (Failure.SPEND_LIMIT, "The spending limit of the API key is reached. The operator can raise it.")
_NO_CREDIT = (Failure.SPEND_LIMIT, "The account of the API key has no credit left. The operator has to add some.")
_BILLING_PROBLEM = (Failure.SPEND_LIMIT, "The API key has a billing problem. The operator has to look at it.")
_TOO_LARGE = (
    Failure.PROMPT_TOO_LARGE,
    "This is more than this model can read. Remove a file, start a new chat, or edit an earlier message to go on from "
    "there. If it happens in a new chat without files, the assistant's own documents are too long for its model.",
)
_NO_ROOM_TO_REPLY = (
    Failure.PROMPT_TOO_LARGE,
    "The conversation leaves too little room for a reply of this model. "
    "Start a new chat, or edit an earlier message to go on from there.",
)

_BY_ERROR_CODE: Mapping[str, _Told] = {
    "enforced_spend_limit_reached": _LIMIT_REACHED,
    "contract_spend_limit_reached": _LIMIT_REACHED,
    "linked_organization_spend_limit_reached": _LIMIT_REACHED,
    "linked_organization_billing_unavailable": _BILLING_PROBLEM,
    "user_profile_not_billable": _BILLING_PROBLEM,
    "user_profile_billing_not_authorized": _BILLING_PROBLEM,
    "request_body_too_large_after_decoding": _TOO_LARGE,
    "region_not_supported": _NOT_FROM_HERE,
}
_BY_MESSAGE: tuple[tuple[str, _Told], ...] = (
    ("enforced_spend_limit_reached", _LIMIT_REACHED),
    ("you have reached your specified api usage limits", _LIMIT_REACHED),
    ("credit balance is too low", _NO_CREDIT),
    ("prompt is too long", _TOO_LARGE),
    ("exceed context limit", _NO_ROOM_TO_REPLY),
)
"""Of 400 and 429 only; no part of them has another name."""
_BY_TYPE: Mapping[str, _Told] = {
    "authentication_error": _KEY_REFUSED,
    "billing_error": _BILLING_PROBLEM,
    "forbidden": _NOT_FROM_HERE,
    "invalid_request_error": _REQUEST_REFUSED,
    "not_found_error": _MODEL_NOT_FOUND,
    "permission_error": _NO_PERMISSION,
    "request_too_large": _TOO_LARGE,
}
_BY_STATUS: Mapping[int, _Told] = {
    HTTPStatus.UNAUTHORIZED: _KEY_REFUSED,
    HTTPStatus.PAYMENT_REQUIRED: _BILLING_PROBLEM,
    HTTPStatus.FORBIDDEN: _BLOCKED_BETWEEN,
    HTTPStatus.NOT_FOUND: _WRONG_ADDRESS,
    HTTPStatus.METHOD_NOT_ALLOWED: _WRONG_ADDRESS,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: _BLOCKED_BETWEEN,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: _TOO_LARGE,
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: _NOT_FROM_HERE,
}
"""For an error that does not have the API's shape: a page, or a gateway's own JSON."""
_MESSAGE_DECIDES = frozenset({HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.TOO_MANY_REQUESTS})
_PASSING_CLIENT_ERRORS = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)


def _refusal(answer: _Answer) -> _Told | None:
    """Why the same request would be refused again; None for trouble that passes."""
    if (told := _BY_ERROR_CODE.get(answer.error_code)) is not None:
        return told
    if answer.status in _MESSAGE_DECIDES:
        message = answer.message.lower()
        for part, told in _BY_MESSAGE:
            if part in message:
                return told
    if answer.status in _PASSING_CLIENT_ERRORS or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return None
    told_by_type = _BY_TYPE.get(answer.type) or _BY_STATUS.get(answer.status)
    is_client_error = answer.status >= HTTPStatus.BAD_REQUEST
    return told_by_type or (_REQUEST_REFUSED if is_client_error else None)


def _passing_trouble(answer: _Answer) -> _Told:
    if answer.type == "overloaded_error" or answer.status == 529:
        return Failure.OVERLOADED, "Claude is overloaded right now."
    if answer.type == "rate_limit_error" or answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Failure.RATE_LIMITED, "Too many requests for this API key right now."
    return Failure.SERVER_ERROR, "Claude had an internal error."


def _retry_after(headers: Mapping[str, Any]) -> float | None:
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if seconds >= 0 else None
