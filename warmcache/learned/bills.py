"""Estimates of prefixes corrected by bills: what a prefix was billed is exact for it, and for what grows from it."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from warmcache.core.estimates import NO_SIZE, Size, tokens_of
from warmcache.core.prefix import Breakpoint, Position, Prefix

MAX_BILLED = 20_000
"""Positions of one process whose tokens are known; the least recently used ones are estimated again."""


class BilledPrefixes:
    """What the provider counted, by `prefix_hash`: a hash says the model, the provider and every byte."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[str, int] = OrderedDict()

    def note(self, prefix_hash: str, tokens: int) -> None:
        self._tokens[prefix_hash] = tokens
        self._tokens.move_to_end(prefix_hash)
        while len(self._tokens) > MAX_BILLED:
            self._tokens.popitem(last=False)

    def knows(self, prefix_hash: str) -> bool:
        return prefix_hash in self._tokens

    def known_before(self, prefix: Prefix) -> tuple[Size, int]:
        """The size and the tokens of the longest known part of a prefix that is shorter than all of it."""
        deepest, positions = prefix.deepest, reversed(_positions(prefix))
        return self.known_of(at for at in positions if deepest is not None and at.prefix_hash != deepest.prefix_hash)

    def known_of(self, positions: Iterable[Position]) -> tuple[Size, int]:
        """The size and the tokens of the first of these positions that is known."""
        for position in positions:
            tokens = self._tokens.get(position.prefix_hash)
            if tokens is not None:
                return position.size, tokens
        return NO_SIZE, 0

    def sized(self, prefix: Prefix, tokens_per_unit: tuple[float, ...]) -> Prefix:
        """The prefix with better estimates: known ones, and between and behind them what the sizes say."""
        positions = _positions(prefix)
        if not positions:
            return prefix
        estimates = [tokens_of(position.size, tokens_per_unit) for position in positions]
        known = [self._tokens.get(position.prefix_hash) for position in positions]
        found = _fitted(estimates, known)
        tokens = {position.prefix_hash: count for position, count in zip(positions, found, strict=True)}
        if all(tokens[position.prefix_hash] == position.prefix_tokens for position in positions):
            return prefix
        return replace(prefix, breakpoints=tuple(_recounted(point, tokens) for point in prefix.breakpoints))


def _positions(prefix: Prefix) -> list[Position]:
    """Every position of a prefix once, from its start."""
    found = {position.prefix_hash: position for point in prefix.breakpoints for position in reversed(point.look_back)}
    return list(found.values())


def _fitted(estimates: list[int], known: list[int | None]) -> list[int]:
    """Counts that pass through the known ones. Before a known one they are stretched; behind the last one they grow by
    what is estimated of the rest."""
    found = list(estimates)
    start, estimated_start, known_start = 0, 0, 0
    for n, count in enumerate(known):
        if count is None:
            continue
        width = estimates[n] - estimated_start
        stretch = (count - known_start) / width if width > 0 else 1.0
        for m in range(start, n):
            found[m] = known_start + round((estimates[m] - estimated_start) * max(0.0, stretch))
        found[n] = count
        start, estimated_start, known_start = n + 1, estimates[n], count
    for m in range(start, len(found)):
        found[m] = known_start + estimates[m] - estimated_start
    return found


def _recounted(point: Breakpoint, tokens: Mapping[str, int]) -> Breakpoint:
    look_back = tuple(replace(position, prefix_tokens=tokens[position.prefix_hash]) for position in point.look_back)
    return replace(point, prefix_tokens=tokens[point.prefix_hash], look_back=look_back)
