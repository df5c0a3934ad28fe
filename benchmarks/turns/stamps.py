"""The format of the stamped upstream's replies, and how the load reads them.

A message itself says which reply it wants: `[turn tokens=120 rate=80]`, with rate 0 for as fast as possible. A token
is `INDEX:NANOSECONDS `, with the time of writing by the system's monotonic clock; the first one is
`0:ARRIVAL:NANOSECONDS `, which adds the time when the whole request had arrived.
"""

import re
from dataclasses import dataclass, field

_TURN = re.compile(rb"\[turn tokens=(\d+) rate=(\d+)\]")
_TOKEN = re.compile(r"(\d+):(?:(\d+):)?(\d+) ")


class StreamSpoiled(Exception):
    """A reply is not what the upstream wrote. Carries one sentence."""


def turn_text(*, tokens: int, rate: int) -> str:
    return f"[turn tokens={tokens} rate={rate}]"


def turn_of(body: bytes) -> tuple[int, int] | None:
    """The number of tokens, and the tokens a second, that the last message of a request asks for."""
    start = body.rfind(b"[turn ")
    found = _TURN.match(body, start) if start >= 0 else None
    return (int(found[1]), int(found[2])) if found else None


def token(index: int, now_ns: int, arrival_ns: int) -> str:
    return f"{index}:{now_ns} " if index else f"0:{arrival_ns}:{now_ns} "


@dataclass(slots=True, kw_only=True)
class ReadReply:
    """A reply read piece by piece. Times are nanoseconds of the monotonic clock."""

    tokens: int = 0
    upstream_ns: int = 0
    """The upstream's own time, from the request's arrival to the first token."""
    first_ns: int = 0
    """When the first token arrived."""
    arrived_ns: list[int] = field(default_factory=list)
    """When each token arrived."""
    delays_ns: list[int] = field(default_factory=list)
    """For each token, the time from its writing to its arrival."""
    _rest: str = ""

    def take(self, text: str, now_ns: int) -> None:
        """Raises `StreamSpoiled` if a token is missing, repeated or out of order."""
        text = self._rest + text
        end = 0
        for found in _TOKEN.finditer(text):
            index, written_ns = int(found[1]), int(found[3])
            if found.start() != end or index != self.tokens or bool(found[2]) != (index == 0):
                raise StreamSpoiled(f"after {self.tokens} tokens came {text[end : found.end()]!r}")
            if found[2]:
                self.first_ns, self.upstream_ns = now_ns, written_ns - int(found[2])
            self.arrived_ns.append(now_ns)
            self.delays_ns.append(now_ns - written_ns)
            self.tokens += 1
            end = found.end()
        self._rest = text[end:]

    def require_complete(self, tokens: int) -> None:
        """Raises `StreamSpoiled` if the end came too early or too late."""
        if self.tokens != tokens or self._rest:
            raise StreamSpoiled(f"{self.tokens} tokens of {tokens}, and {self._rest!r}")

    def added_ttft_ms(self, sent_ns: int) -> float:
        """What the server added to the upstream's time to first token."""
        return (self.first_ns - sent_ns - self.upstream_ns) / 1e6
