"""The earlier answers with which the provider compares a request, to say why its prompt was not in the cache.

Keeps the id of the last answer per place and per `prefix_hash`; bounded, in memory, per process. An answer that this
process has not seen is not compared with, and nothing else depends on it.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from warmcache.core.origin import Origin
from warmcache.core.prefix import Prefix

MAX_ANSWERS = 10_000
KEEP_SECONDS = 3600.0
"""The provider keeps fingerprints for a short time, and no entry outlives this."""

_Key = str | tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierAnswer:
    """`was_warm_up`: its last user turn was a placeholder."""

    response_id: str
    prefix_hash: str
    was_warm_up: bool
    at: float

    def tells_by(self, miss_reason: str, prefix: Prefix) -> str:
        """The reason, or empty if it only says that the person's text differs from the warm-up's placeholder."""
        is_placeholder = self.was_warm_up and self.prefix_hash in prefix.hashes
        return "" if is_placeholder and miss_reason == "messages_changed" else miss_reason


class Answers:
    """The last answers that this process received."""

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, EarlierAnswer] = OrderedDict()

    def note(self, response_id: str, prefix: Prefix, origin: Origin, *, was_warm_up: bool, at: float) -> None:
        """`at`: epoch seconds."""
        deepest = prefix.deepest
        if not response_id or deepest is None:
            return
        answer = EarlierAnswer(response_id=response_id, prefix_hash=deepest.prefix_hash, was_warm_up=was_warm_up, at=at)
        for key in (deepest.prefix_hash, *_place(origin)):
            self._kept[key] = answer
            self._kept.move_to_end(key)
        while len(self._kept) > MAX_ANSWERS:
            self._kept.popitem(last=False)

    def before(self, prefix: Prefix, origin: Origin, now: float) -> EarlierAnswer | None:
        """The last answer in the same place, otherwise the one that shares the most of this prefix."""
        for key in (*_place(origin), *_deepest_first(prefix)):
            answer = self._kept.get(key)
            if answer is not None and now - answer.at < KEEP_SECONDS:
                return answer
        return None


def _place(origin: Origin) -> tuple[_Key, ...]:
    return ((origin.label, origin.subject, origin.place),) if origin.place else ()


def _deepest_first(prefix: Prefix) -> Iterator[_Key]:
    for point in reversed(prefix.breakpoints):
        for position in point.look_back:
            yield position.prefix_hash
