"""Tallies by some of their words, and their sums. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from warmcache.core.statistics import Sample
from warmcache.core.tallies import Kind, Tally, Words

Key = tuple[str, ...]


def of_kind(tallies: Iterable[Tally], kind: Kind) -> list[Tally]:
    return [tally for tally in tallies if tally.words.kind == kind]


def grouped(tallies: Iterable[Tally], *names: str) -> list[tuple[Words, list[Tally]]]:
    """Groups that have these words in common, in their order; the other words of the first part are empty."""
    groups: dict[Key, list[Tally]] = defaultdict(list)
    for tally in tallies:
        groups[values(tally.words, names)].append(tally)
    ordered = sorted(groups.items())
    return [(Words(kind=rows[0].words.kind, **dict(zip(names, key, strict=True))), rows) for key, rows in ordered]


def values(words: Words, names: Sequence[str]) -> Key:
    return tuple(getattr(words, name) for name in names)


def sums_of(tallies: Iterable[Tally]) -> Counter[str]:
    found: Counter[str] = Counter()
    for tally in tallies:
        found.update(tally.sums)
    return found


def sample_of(sums: Counter[str], count: str, total: str, *, unit: float) -> Sample:
    """`total` names the sum, and with a 2 behind it the sum of squares."""
    return Sample(count=sums[count], total=sums[total], squares=sums[f"{total}2"], unit=unit)
