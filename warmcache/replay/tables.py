"""The study as text, and as JSON values."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from warmcache.core.statistics import Interval
from warmcache.replay.study import BASELINE, INFORMED, ORACLE, OURS, Block, Row
from warmcache.replay.traces import CLAUDE_CODE

_TARGETS = {CLAUDE_CODE: 0.95}
_OTHER_TARGET = 0.80

HEAD = (
    f"{'policy':<17}{'TTFT p50':>9}{'p95':>7}{'mean':>7}  {'seconds saved':>24}  {'dollars extra':>26}"
    f"  {'net $':>24}{'of informed':>12}{'of oracle':>10}{'warm:send':>11}{'wasted':>8}"
)


def table(blocks: Sequence[Block]) -> Iterator[str]:
    """The table, line by line."""
    for block in blocks:
        cell = block.cell
        yield ""
        yield (
            f"{block.name}, {cell.model}, latency {cell.profile}: {block.requests:,} requests in"
            f" {block.conversations:,} conversations, abandonment {cell.habits.abandonment:g}"
            + (", first hours of new labels" if cell.first_hours else "")
        )
        for value in sorted({row.value_of_second_usd for row in block.rows}):
            yield from _price(block, value)


def _price(block: Block, value: float) -> Iterator[str]:
    yield f"  a second is worth ${value:g}"
    oracle = block.row(ORACLE, value)
    if oracle is not None and not block.is_measurable(value):
        at_stake = f"{oracle.saved_seconds.value:.0f} s"
        yield f"  seconds not measurable: only {at_stake} at stake in all; what is compared is dollars"
    yield "  " + HEAD
    for row in block.rows:
        if row.value_of_second_usd == value:
            yield "  " + _line(row)


def _line(row: Row) -> str:
    shares = [
        "" if share is None or row.policy == BASELINE else f"{share:.0%}"
        for share in (row.share_of_informed, row.share_of_oracle)
    ]
    ratio = f"{row.warm_ups / row.sends:.2f}" if row.sends else ""
    return (
        f"{row.policy:<17}{row.ttft_p50:>9.2f}{row.ttft_p95:>7.2f}{row.ttft_mean:>7.2f}"
        f"  {_interval(row.saved_seconds, 0):>24}  {_interval(row.extra_usd, 2):>26}  {_interval(row.net_usd, 2):>24}"
        f"{shares[0]:>12}{shares[1]:>10}{ratio:>11}{row.wasted_share:>8.0%}"
    )


def _interval(interval: Interval, digits: int) -> str:
    return f"{interval.value:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def verdicts(blocks: Sequence[Block]) -> Iterator[str]:
    """One line per block and price: is the target met, and has any policy a higher net value than ours?"""
    yield ""
    yield (
        f"Target: ours reaches {_OTHER_TARGET:.0%} of the net value of {INFORMED}, the same rule with rates known"
        f" beforehand (no upper bound: it may be beaten), on coding sessions {_TARGETS[CLAUDE_CODE]:.0%}; and no"
        " simpler policy has surely a higher one. Last, how far the best of these is behind."
    )
    for block in blocks:
        for value in sorted({row.value_of_second_usd for row in block.rows}):
            ours = block.row(OURS, value)
            if ours is not None:
                yield "  " + _verdict(block, ours)


def _verdict(block: Block, ours: Row) -> str:
    target = _TARGETS.get(block.cell.source, _OTHER_TARGET)
    share, closest = ours.share_of_informed, _closest(block, ours)
    behind = closest.behind_ours_usd if closest is not None else None
    is_beaten = behind is not None and behind.high < 0
    met = "met" if share is not None and share >= target and not is_beaten else "missed"
    told = f"{INFORMED} not run" if share is None else f"{share:.0%} of {INFORMED}"
    unsure = "" if block.is_measurable(ours.value_of_second_usd) else ", seconds not measurable"
    rival = f"; {closest.policy} ${_interval(behind, 2)} behind" if closest is not None and behind is not None else ""
    cell, value = block.cell, ours.value_of_second_usd
    part = "first hours " if cell.first_hours else ""
    line = f"{block.name:<15}{cell.model:<19}{cell.profile:<6}${value:<5g}{met:<7}{told}{unsure}"
    return part + line + _missing(block, ours) + rival


def losses(blocks: Sequence[Block]) -> Iterator[str]:
    """Where a simpler policy has a higher net value: surely, if the whole interval of the difference is below zero."""
    judged = [
        (block, row, closest.behind_ours_usd)
        for block in blocks
        for row in block.rows
        if row.policy == OURS and (closest := _closest(block, row)) is not None
    ]
    lost = [(block, row, behind) for block, row, behind in judged if behind is not None and behind.value < 0]
    surely = [each for each in lost if each[2].high < 0]
    yield ""
    yield (
        f"Of {len(judged)} cells, a simpler policy has a higher net value in {len(lost)}, surely so in {len(surely)}"
        " (95 % interval of the difference, over conversations)."
    )
    for block, row, behind in lost:
        part = "first hours of " if block.cell.first_hours else ""
        cell = f"{part}{block.name}, {block.cell.model}, latency {block.cell.profile}, ${row.value_of_second_usd:g}"
        yield f"  {cell}: {_interval(behind, 2)}"


def _closest(block: Block, ours: Row) -> Row | None:
    """The best of the policies that run and know less."""
    rivals = [
        row
        for row in block.rows
        if row.value_of_second_usd == ours.value_of_second_usd and row.policy not in (OURS, INFORMED, ORACLE)
    ]
    return max(rivals, key=lambda row: row.net_usd.value, default=None)


def _missing(block: Block, ours: Row) -> str:
    """Where the gap to foresight lies: nobody else knows who comes back."""
    oracle = block.row(ORACLE, ours.value_of_second_usd)
    if oracle is None or ours.share_of_oracle is None:
        return ""
    missing, unread = oracle.net_usd.value - ours.net_usd.value, ours.wasted_usd - oracle.wasted_usd
    told = f"; {ours.share_of_oracle:.0%} of the {ORACLE}, ${missing:.2f} less"
    return f"{told}, of it ${unread:.2f} for warm-ups that nobody came back to read"


def sweep(blocks: Sequence[Block]) -> Iterator[str]:
    """How far the result depends on the assumptions about people."""
    yield ""
    yield "Sweep over what is assumed of people (a sample of the conversations):"
    yield (
        f"  {'source':<15}{'abandonment':>12}{'typing':>8}{'paste':>7}{'ours saved s':>14}{'extra $':>10}{'net $':>9}"
        f"{'oracle net $':>14}{'share':>7}"
    )
    for block in blocks:
        habits = block.cell.habits
        typing = f"x {habits.duration_factor:g}" if habits.duration_factor else "1 s"
        for row in block.rows:
            oracle = block.row(ORACLE, row.value_of_second_usd)
            if row.policy == OURS and oracle is not None:
                yield (
                    f"  {block.name:<15}{habits.abandonment:>12g}{typing:>8}{habits.paste_characters:>7}"
                    f"{row.saved_seconds.value:>14.0f}{row.extra_usd.value:>10.2f}{row.net_usd.value:>9.2f}"
                    f"{oracle.net_usd.value:>14.2f}{row.share_of_oracle or 0:>7.0%}"
                )


def as_json(blocks: Sequence[Block]) -> list[dict[str, Any]]:
    """All numbers, unrounded."""
    return [asdict(block) for block in blocks]
