"""The arithmetic of the figures: percentiles, medians over passes, void rows, ratios, and the table."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

VOID_SHARE = 0.8
"""If the load's own core is busier than this, the load measures itself."""

DISTURBED_SHARE = 0.1
"""If other processes used more than this share of the server's core, the page says so beside the figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The figures of one server under one load in one pass."""

    server: str
    load: str
    values: Mapping[str, float]
    load_busy: float
    """Share of the load's core that was in use, by any process."""
    others: float
    """Share of the server's core that went to other processes."""

    @property
    def is_void(self) -> bool:
        return self.load_busy > VOID_SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the table: one value under one load."""

    title: str
    load: str
    value: str
    digits: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A column of the table: one server's figure as a multiple of another's."""

    server: str
    of: str

    @property
    def title(self) -> str:
        return f"{self.server} / {self.of}"


def percentile(values: Sequence[float], percent: int) -> float:
    """Interpolated between the two nearest values; not a number if there are no values."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    place = (len(ordered) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def median_over_passes(
    readings: Iterable[Reading], *, server: str, load: str, value: str, with_void: bool = False
) -> float:
    """The median over the passes that count; not a number if none does."""
    found = [
        reading.values[value]
        for reading in readings
        if (reading.server, reading.load) == (server, load)
        and (with_void or not reading.is_void)
        and value in reading.values
    ]
    found = [number for number in found if not math.isnan(number)]
    return statistics.median(found) if found else math.nan


def ratio(value: float, base: float) -> float:
    return value / base if base > 0 else math.nan


def table(
    lines: Sequence[Line],
    readings: Sequence[Reading],
    *,
    servers: Sequence[str],
    ratios: Sequence[Ratio],
    keeps_void: bool = False,
) -> list[str]:
    """A Markdown table. `void` or a figure in brackets: no pass counts; a dash: not measured."""
    rows = [["", *servers, *(column.title for column in ratios)]]
    for line in lines:
        cells = {server: _cell(line, server, readings, keeps_void=keeps_void) for server in servers}
        rows.append(
            [
                line.title,
                *(cell.text for cell in cells.values()),
                *(_number(ratio(cells[column.server].value, cells[column.of].value), 2) for column in ratios),
            ]
        )
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first row is the header; each column is as wide as its longest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    head, *body = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return [head, "|" + "|".join("-" * (width + 2) for width in widths) + "|", *body]


def remarks(readings: Sequence[Reading]) -> list[str]:
    """Warnings for the reader of the table, one line per server and problem: void, failed and disturbed rows."""
    troubles: dict[str, list[str]] = {}
    for reading in readings:
        failures = reading.values.get("failures", 0)
        if reading.is_void:
            note = f"{reading.load} {reading.load_busy:.0%}"
            troubles.setdefault(f"void (the load's core was busy): {reading.server}", []).append(note)
        if failures:
            troubles.setdefault(f"turns that failed: {reading.server}", []).append(f"{reading.load} {failures:.0f}")
        if reading.others > DISTURBED_SHARE:
            note = f"{reading.load} {reading.others:.0%}"
            troubles.setdefault(f"disturbed (others on the server's core): {reading.server}", []).append(note)
    return [f"{trouble}: {', '.join(where)}" for trouble, where in sorted(troubles.items())]


def as_data(readings: Sequence[Reading]) -> list[dict[str, object]]:
    return [{**asdict(reading), "is_void": reading.is_void} for reading in readings]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    value: float
    text: str


def _cell(line: Line, server: str, readings: Sequence[Reading], *, keeps_void: bool) -> _Cell:
    where = {"server": server, "load": line.load, "value": line.value}
    mine = [reading for reading in readings if (reading.server, reading.load) == (server, line.load)]
    is_void = bool(mine) and all(reading.is_void for reading in mine)
    value = median_over_passes(readings, **where, with_void=is_void and keeps_void)
    text = _number(value, line.digits)
    if is_void:
        text = f"({text})" if keeps_void else "void"
    return _Cell(value=value, text=text)


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"
