"""The direct way between our own server and a socket's consumer: for the frames that come with every token.

ASGI passes each message through a queue, a task and every layer of the application. Commands and events go that way.
Frames of a reply, and the acks for them, are so many that they get a shorter one, as an ASGI extension of the scope.
Servers without it, and tests without a server, use ASGI for everything.
"""

from collections.abc import Callable
from typing import Any, Protocol

DIRECT = "chatapp.direct"
"""Its name among the extensions of a scope."""


class DirectWay(Protocol):
    take_now: Callable[[bytes], bool] | None
    """The consumer's, once it has set it: is given every text message and returns True if it has taken it. What it
    leaves goes the way of ASGI."""

    def send_now(self, text: bytes) -> bool:
        """Sends a text message, or does nothing and returns False if the application has to wait first."""


def direct_way(scope: dict[str, Any]) -> DirectWay | None:
    """None on a server that has no direct way."""
    found: DirectWay | None = scope.get("extensions", {}).get(DIRECT)
    return found
