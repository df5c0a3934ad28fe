"""The ids that every log line of one piece of work carries: request, person, conversation, reply. Never content.

Bound where the work begins; asyncio and the database threads hand them on to what the work starts.
"""

import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType

_NONE: Mapping[str, str] = MappingProxyType({})
_ids: ContextVar[Mapping[str, str]] = ContextVar("log_ids", default=_NONE)


def bind(**ids: object) -> None:
    """From now on the running task's log lines have these ids, beside those that they have already."""
    _ids.set({**_ids.get(), **{name: str(value) for name, value in ids.items()}})


def bound() -> Mapping[str, str]:
    return _ids.get()


def new_request_id() -> str:
    """Ours, not the one of a header: anybody can write anything into that."""
    return secrets.token_hex(8)
