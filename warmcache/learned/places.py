"""What becomes of a prompt in the next request of the same place: the last request of each place, in this process."""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

from warmcache.core.prefix import Prefix

MAX_PLACES = 5000
"""The least recently used ones are forgotten: their next request teaches nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A request that a reply followed. `ends`: the hash and the tokens at each breakpoint of its prompt."""

    ends: tuple[tuple[str, int], ...]
    reply_tokens: int
    asked_tool: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """An earlier request, and how much of it the next one still begins with."""

    asked_tool: bool
    reply_tokens: int
    kept_share: float
    """Of its whole prompt; the next request's prompt tells only of breakpoints, so a cut counts from the last one."""
    keeps_prompt: bool
    keeps_reply: bool


class Places:
    """The last request of each place, by the words of the host."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[str, str], Spoken] = OrderedDict()

    def note(self, label: str, place: str, prefix: Prefix, *, reply_tokens: int, asked_tool: bool) -> Followed | None:
        """Records a request that was answered; returns the one that it followed, if that is known."""
        if not place or not prefix.breakpoints:
            return None
        key = label, place
        before = self._last.pop(key, None)
        ends = tuple((point.prefix_hash, point.prefix_tokens) for point in prefix.breakpoints)
        self._last[key] = Spoken(ends=ends, reply_tokens=reply_tokens, asked_tool=asked_tool)
        while len(self._last) > MAX_PLACES:
            self._last.popitem(last=False)
        return _followed(before, prefix) if before is not None else None

    def forget(self, places: Collection[str]) -> None:
        for key in [key for key in self._last if key[1] in places]:
            del self._last[key]


def _followed(before: Spoken, prefix: Prefix) -> Followed:
    hashes = set(prefix.hashes)
    deepest_hash, tokens = before.ends[-1]
    kept_tokens = max((end for found, end in before.ends if found in hashes), default=0)
    keeps_prompt = deepest_hash in hashes
    return Followed(
        asked_tool=before.asked_tool,
        reply_tokens=before.reply_tokens,
        kept_share=kept_tokens / tokens if tokens else 1.0,
        keeps_prompt=keeps_prompt,
        # An answer that is asked for again ends where the one before did.
        keeps_reply=keeps_prompt and prefix.breakpoints[-1].prefix_hash != deepest_hash,
    )
