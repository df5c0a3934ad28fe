"""The arithmetic: percentiles, medians over passes, rows that do not count, ratios, and the table of it all."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

VOID_SHARE = 0.8
"""A load whose own core is busier than this measures itself."""

DISTURBED_SHARE = 0.1
"""More than this of the server's core went to others: the figures are shown, and the page says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One server under one load in one pass."""

    server: str
    load: str
    values: Mapping[str, float]
    load_busy: float
    """Share of the load's core that was in use, by whomever."""
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
    """Between the two nearest where it falls between them; not a number where there are none."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    place = (len(ordered) - 1) * percent / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def median_over_passes(readings: Iterable[Reading], *, server: str, load: str, value: str) -> float:
    """Of the passes that count; not a number where none does."""
    found = [
        reading.values[value]
        for reading in readings
        if (reading.server, reading.load) == (server, load) and not reading.is_void and value in reading.values
    ]
    found = [number for number in found if not math.isnan(number)]
    return statistics.median(found) if found else math.nan


def ratio(value: float, base: float) -> float:
    return value / base if base > 0 else math.nan


def table(
    lines: Sequence[Line], readings: Sequence[Reading], *, servers: Sequence[str], ratios: Sequence[Ratio]
) -> list[str]:
    """A Markdown table. `void`: only passes that do not count; a dash: not measured."""
    rows = [["", *servers, *(column.title for column in ratios)]]
    for line in lines:
        medians = {
            server: median_over_passes(readings, server=server, load=line.load, value=line.value) for server in servers
        }
        rows.append(
            [
                line.title,
                *(_shown(medians[server], line, server, readings) for server in servers),
                *(_number(ratio(medians[column.server], medians[column.of]), 2) for column in ratios),
            ]
        )
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first row is the head; columns are as wide as they must be."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    head, *body = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return [head, "|" + "|".join("-" * (width + 2) for width in widths) + "|", *body]


def remarks(readings: Sequence[Reading]) -> list[str]:
    """What a reader of the table must know: rows that are void, and rows that others disturbed."""
    found = []
    for reading in readings:
        where = f"{reading.server}, {reading.load}"
        if reading.is_void:
            found.append(f"void: {where}: the load's core was {reading.load_busy:.0%} busy")
        if reading.values.get("failures"):
            found.append(f"failed: {where}: {reading.values['failures']:.0f} turns, which the figures leave out")
        if reading.others > DISTURBED_SHARE:
            found.append(f"disturbed: {where}: {reading.others:.0%} of the server's core went to other processes")
    return found


def as_data(readings: Sequence[Reading]) -> list[dict[str, object]]:
    return [{**asdict(reading), "is_void": reading.is_void} for reading in readings]


def _shown(median: float, line: Line, server: str, readings: Sequence[Reading]) -> str:
    mine = [reading for reading in readings if (reading.server, reading.load) == (server, line.load)]
    if mine and all(reading.is_void for reading in mine):
        return "void"
    return _number(median, line.digits)


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"
