"""What the host adds to the ledger's pages: names of subjects, and the message behind a request.

The ledger knows subjects and places only by the host's own words. A host that knows more registers itself when its own
admin is loaded; without one the words stand as they are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMessage:
    """The host's own row of a reply. Times from the press, as its server and its browser measured them."""

    url: str
    server_ttft_ms: int | None
    browser_ttft_ms: int | None


class Host(Protocol):
    """Each method takes one query at most."""

    def subjects_named(self, name: str) -> Sequence[str]:
        """The subjects of people with exactly this name."""

    def name_of(self, subject: str) -> str | None:
        """The name of a subject; None if it is nobody's, or nobody's any more."""

    def message_of(self, place: str, request_id: str) -> ShownMessage | None:
        """The message that a request wrote."""


_host: Host | None = None


def register(host: Host) -> None:
    global _host
    _host = host


def registered() -> Host | None:
    return _host
