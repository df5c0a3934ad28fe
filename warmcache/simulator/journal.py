"""The journal of requests and answers: the newest exchanges, with bounded memory."""

import base64
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MAX_EXCHANGES = 500
MAX_BODY_BYTES = 48 * 1024 * 1024
_SECRET_HEADERS = frozenset({"x-api-key", "authorization", "cookie", "proxy-authorization"})


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and its answer. Times are milliseconds since the request's start."""

    number: int
    method: str
    path: str
    headers: dict[str, str]
    arrived_at: float
    """Seconds since the epoch."""
    body: bytes = b""
    is_warm_up: bool = False
    fault: str | None = None
    status: int | None = None
    error: dict[str, Any] | None = None
    request_id: str = ""
    workspace_id: str = ""
    message_id: str | None = None
    usage: dict[str, Any] | None = None
    simulated_ttft_ms: float | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)
    """`began`, `first_token`, `finished`, `hung_up`, as far as the call got."""

    @property
    def hung_up(self) -> bool:
        """Whether the client left before the answer was complete."""
        return "hung_up" in self.timings_ms

    def as_json(self) -> dict[str, Any]:
        """The exchange as the control endpoint shows it; the body both as bytes and parsed."""
        shown = {name: getattr(self, name) for name in Exchange.__slots__ if name != "body"}
        shown["hung_up"] = self.hung_up
        shown["body_base64"] = base64.b64encode(self.body).decode()
        shown["parsed"] = _parsed(self.body)
        return shown


class Journal:
    """The newest exchanges; the oldest are dropped when there are too many or their bodies grow too large."""

    def __init__(
        self,
        *,
        wall_clock: Callable[[], float],
        max_exchanges: int = MAX_EXCHANGES,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._wall_clock = wall_clock
        self._max_exchanges = max_exchanges
        self._max_body_bytes = max_body_bytes
        self.clear()

    def clear(self) -> None:
        """Forgets all exchanges; numbers start at 1 again."""
        self._exchanges: deque[Exchange] = deque()
        self._opened = 0

    def open(self, method: str, path: str, headers: dict[str, str]) -> Exchange:
        """Records a request that has just arrived; keys are left out."""
        self._opened += 1
        exchange = Exchange(
            number=self._opened,
            method=method,
            path=path,
            headers={name.lower(): value for name, value in headers.items() if not _is_secret(name)},
            arrived_at=self._wall_clock(),
        )
        self._exchanges.append(exchange)
        self._trim()
        return exchange

    def keep_body(self, exchange: Exchange, body: bytes) -> None:
        """Records the bytes of a request as they came."""
        exchange.body = body
        self._trim()

    def newest(self, limit: int | None = None, *, after: int = 0) -> list[Exchange]:
        """The newest exchanges with a number above `after`, in ascending order."""
        chosen = [exchange for exchange in self._exchanges if exchange.number > after]
        return chosen if limit is None else chosen[max(0, len(chosen) - limit) :]

    def _trim(self) -> None:
        held = sum(len(exchange.body) for exchange in self._exchanges)
        while len(self._exchanges) > self._max_exchanges or (held > self._max_body_bytes and len(self._exchanges) > 1):
            held -= len(self._exchanges.popleft().body)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _is_secret(name: str) -> bool:
    return name.lower() in _SECRET_HEADERS
