"""Faults on demand: what fails in the next calls, and where in the call.

kind              what happens
unauthorized      401
rate_limited      429, with `retry-after` where `retry_after` is given
spend_limit       429 as for a reached spend cap: no `retry-after`
own_spend_limit   400 as for a limit the customer set
server_error      500
overloaded        529
status            the given `status`
reset             TCP reset before any byte of the response
stall             silence for `seconds` (for ever without), with a ping every `ping_seconds` if given; ends at the
                  latest when stalled calls are released
slow              the response begins `seconds` later
cut               TCP reset in the middle of the answer
error_event       an `error` event in the middle of the answer (529 on a call that does not stream)
malformed         broken JSON in the middle of the answer
end_early         a clean end without `message_stop`
zero_counters     nothing is read, nothing written: both counters are 0
evict             all entries are evicted just before the call
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from warmcache.simulator.errors import ERROR_TYPES, ApiError

BEFORE_HEADERS = "before_headers"
BEFORE_FIRST_TOKEN = "before_first_token"  # noqa: S105 - a point in the stream
AFTER_FIRST_TOKEN = "after_first_token"  # noqa: S105 - a point in the stream

_POINTS: dict[str, tuple[str, ...]] = {
    "unauthorized": (BEFORE_HEADERS,),
    "rate_limited": (BEFORE_HEADERS,),
    "spend_limit": (BEFORE_HEADERS,),
    "own_spend_limit": (BEFORE_HEADERS,),
    "server_error": (BEFORE_HEADERS,),
    "overloaded": (BEFORE_HEADERS,),
    "status": (BEFORE_HEADERS,),
    "reset": (BEFORE_HEADERS,),
    "slow": (BEFORE_HEADERS,),
    "zero_counters": (BEFORE_HEADERS,),
    "evict": (BEFORE_HEADERS,),
    "stall": (BEFORE_FIRST_TOKEN, BEFORE_HEADERS, AFTER_FIRST_TOKEN),
    "cut": (AFTER_FIRST_TOKEN, BEFORE_FIRST_TOKEN),
    "error_event": (AFTER_FIRST_TOKEN, BEFORE_FIRST_TOKEN),
    "malformed": (AFTER_FIRST_TOKEN, BEFORE_FIRST_TOKEN),
    "end_early": (AFTER_FIRST_TOKEN, BEFORE_FIRST_TOKEN),
}
KINDS = tuple(_POINTS)
MATCHES = ("any", "warm_up", "reply")
_NUMBERS = ("retry_after", "seconds", "ping_seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of trouble for the next `times` calls that match."""

    kind: str
    times: int = 1
    match: str = "any"
    where: str = BEFORE_HEADERS
    after_tokens: int = 8
    """For `where: after_first_token`: the number of tokens that still arrive."""
    retry_after: float | None = None
    seconds: float | None = None
    ping_seconds: float | None = None
    status: int = 500
    message: str | None = None

    def refusal(self) -> ApiError | None:
        """The error response of this fault; None if the fault is of another kind."""
        make = _REFUSALS.get(self.kind)
        error = make(self) if make else None
        if error is not None and self.message is not None:
            error.message = self.message
        return error


class BadFaultError(ValueError):
    """A requested fault does not exist or cannot happen at that point."""


def read_fault(data: Any) -> Fault:
    """A fault from its JSON form. Raises `BadFaultError`."""
    if not isinstance(data, dict):
        raise BadFaultError("a fault is an object")
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in _POINTS:
        raise BadFaultError(f"kind must be one of {', '.join(KINDS)}")
    unknown = set(data) - set(Fault.__slots__)
    if unknown:
        raise BadFaultError(f"unknown field: {', '.join(sorted(unknown))}")
    _check_values(data)
    where = data.get("where", _POINTS[kind][0])
    if where not in _POINTS[kind]:
        raise BadFaultError(f"where must be one of {', '.join(_POINTS[kind])} for {kind}")
    if data.get("match", "any") not in MATCHES:
        raise BadFaultError(f"match must be one of {', '.join(MATCHES)}")
    return Fault(**{**data, "where": where})


def _check_values(data: dict[str, Any]) -> None:
    for key in ("times", "after_tokens", "status"):
        value = data.get(key, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise BadFaultError(f"{key} must be a whole number, not below 0")
    for key in _NUMBERS:
        value = data.get(key)
        if value is not None and (not isinstance(value, int | float) or value < 0):
            raise BadFaultError(f"{key} must be a number, not below 0")
    if data.get("status", 500) not in ERROR_TYPES:
        raise BadFaultError(f"status must be one of {', '.join(map(str, ERROR_TYPES))}")
    if not isinstance(data.get("message", ""), str | None):
        raise BadFaultError("message must be a text")


class FaultQueue:
    """Faults that wait for their calls, first come, first served."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self.released = asyncio.Event()
        """Ends the stalls of calls that come before it is set; later calls have a new event."""

    def add(self, fault: Fault) -> None:
        """Queues a fault; `times: 0` queues nothing."""
        if fault.times > 0:
            self._waiting.append(fault)

    def take(self, *, is_warm_up: bool) -> Fault | None:
        """The fault for this call, used up once; None if there is none."""
        name = "warm_up" if is_warm_up else "reply"
        for number, fault in enumerate(self._waiting):
            if fault.match not in ("any", name):
                continue
            if fault.times > 1:
                self._waiting[number] = replace(fault, times=fault.times - 1)
            else:
                del self._waiting[number]
            return fault
        return None

    def waiting(self) -> list[Fault]:
        """The faults that have not happened yet."""
        return list(self._waiting)

    def clear(self) -> None:
        """Removes all waiting faults."""
        self._waiting.clear()

    def release(self) -> None:
        """Continues every call that stalls now."""
        self.released.set()
        self.released = asyncio.Event()


def _rate_limited(fault: Fault) -> ApiError:
    headers = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
    return ApiError(429, "This request would exceed your organization's rate limit.", headers=headers)


def _spend_limit(fault: Fault) -> ApiError:
    return ApiError(
        429,
        "Your organization has reached its enforced spend limit.",
        error_code="enforced_spend_limit_reached",
        headers={"x-should-retry": "false"},
    )


def _own_spend_limit(fault: Fault) -> ApiError:
    return ApiError(
        400,
        "You have reached your specified API usage limits. You will regain access on the first of next month.",
    )


_REFUSALS: dict[str, Callable[[Fault], ApiError]] = {
    "unauthorized": lambda fault: ApiError(401, "invalid api key"),
    "rate_limited": _rate_limited,
    "spend_limit": _spend_limit,
    "own_spend_limit": _own_spend_limit,
    "server_error": lambda fault: ApiError(500, "Internal server error"),
    "overloaded": lambda fault: ApiError(529, "Overloaded"),
    "status": lambda fault: ApiError(fault.status, "Simulated failure"),
}
