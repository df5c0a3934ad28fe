"""Charts of dollars against saved seconds, one panel per source: an SVG that is readable on light and dark pages."""

from collections.abc import Sequence
from html import escape

from warmcache.replay.study import BASELINE, ORACLE, OURS, Block, Row

PANEL_WIDTH = 460
PANEL_HEIGHT = 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 24, 52, 56
_COLUMNS = 2

_STYLE = """
:root { color-scheme: light dark; }
.back { fill: #ffffff; } .ink { fill: #1b1b1f; } .soft { fill: #5c5c66; } .grid { stroke: #d9d9e0; }
.zero { stroke: #8a8a94; } .ours { fill: #0a6b4f; } .best { fill: #8a4b00; } .other { fill: #4a5a8a; }
@media (prefers-color-scheme: dark) {
  .back { fill: #17171a; } .ink { fill: #ececf1; } .soft { fill: #a9a9b4; } .grid { stroke: #34343b; }
  .zero { stroke: #6d6d78; } .ours { fill: #4fd1a5; } .best { fill: #f0b060; } .other { fill: #9db2ee; }
}
text { font: 12px system-ui, sans-serif; } .title { font-weight: 600; font-size: 14px; }
"""


def chart(blocks: Sequence[Block], value: float) -> str:
    """The panels of `blocks` at one price of a second. Left is cheaper, up is faster."""
    rows = -(-len(blocks) // _COLUMNS)
    width, height = PANEL_WIDTH * min(_COLUMNS, len(blocks)), PANEL_HEIGHT * rows
    panels = [
        _panel(block, value, PANEL_WIDTH * (n % _COLUMNS), PANEL_HEIGHT * (n // _COLUMNS))
        for n, block in enumerate(blocks)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" aria-label="Dollars against seconds saved, per source">'
        f'<style>{_STYLE}</style><rect class="back" width="{width}" height="{height}"/>{"".join(panels)}</svg>\n'
    )


class _Scale:
    """Maps a range of values to pixels; the range always includes zero."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        low, high = min(0.0, *values), max(0.0, *values)
        margin = 0.12 * (high - low or 1.0)
        self.low, self.high = low - margin, high + margin
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        step = _round_step((self.high - self.low) / 5)
        first = int(self.low / step) - 1
        return [n * step for n in range(first, first + 12) if self.low <= n * step <= self.high]


def _round_step(rough: float) -> float:
    power = 10.0
    while power > rough:
        power /= 10
    while power * 10 <= rough:
        power *= 10
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough)


def _panel(block: Block, value: float, left: float, top: float) -> str:
    rows = [row for row in block.rows if row.value_of_second_usd == value]
    x = _Scale([row.extra_usd.value for row in rows], left + _LEFT, left + PANEL_WIDTH - _RIGHT)
    y = _Scale([row.saved_seconds.value for row in rows], top + PANEL_HEIGHT - _BOTTOM, top + _TOP)
    middle = left + (_LEFT + PANEL_WIDTH - _RIGHT) / 2
    about = f"{block.cell.model}, latency {block.cell.profile}, a second at ${value:g}"
    parts = [
        f'<text class="ink title" x="{left + _LEFT}" y="{top + 20}">{escape(block.name)}</text>',
        f'<text class="soft" x="{left + _LEFT}" y="{top + 37}">{escape(about)}</text>',
    ]
    parts += [_vertical(x(tick), y, _number(tick), tick == 0) for tick in x.ticks()]
    parts += [_horizontal(y(tick), x, _number(tick), tick == 0) for tick in y.ticks()]
    bottom = top + PANEL_HEIGHT - 14
    parts.append(f'<text class="soft" x="{middle}" y="{bottom}" text-anchor="middle">extra dollars</text>')
    side, centre = left + 16, top + (_TOP + PANEL_HEIGHT - _BOTTOM) / 2
    parts.append(
        f'<text class="soft" transform="translate({side} {centre}) rotate(-90)" text-anchor="middle">'
        f"seconds saved</text>"
    )
    return "".join(parts + _points(rows, x, y, left + PANEL_WIDTH))


def _points(rows: Sequence[Row], x: _Scale, y: _Scale, edge: float) -> list[str]:
    parts: list[str] = []
    taken: list[tuple[float, float, float]] = []
    for row in sorted(rows, key=lambda row: row.policy not in (OURS, ORACLE)):
        at_x, at_y = x(row.extra_usd.value), y(row.saved_seconds.value)
        kind = "ours" if row.policy == OURS else "best" if row.policy == ORACLE else "other"
        width = 7.0 * len(row.policy)
        is_left = at_x + 10 + width > edge - 4
        label_x = at_x - 10 - width if is_left else at_x + 10
        label_y = _free(label_x, at_y + 4, width, taken)
        taken.append((label_x, label_y, width))
        shape = f'<circle class="{kind}" cx="{at_x:.1f}" cy="{at_y:.1f}" r="{6 if kind != "other" else 4.5}"/>'
        if row.policy == BASELINE:
            shape = f'<rect class="soft" x="{at_x - 4:.1f}" y="{at_y - 4:.1f}" width="8" height="8"/>'
        parts.append(f"{shape}<title>{escape(row.policy)}</title>")
        anchor = "end" if is_left else "start"
        text_x = at_x - 10 if is_left else label_x
        parts.append(
            f'<text class="{kind if kind != "other" else "ink"}" x="{text_x:.1f}" y="{label_y:.1f}"'
            f' text-anchor="{anchor}">{escape(row.policy)}</text>'
        )
    return parts


def _free(label_x: float, label_y: float, width: float, taken: Sequence[tuple[float, float, float]]) -> float:
    """The nearest height at which the label does not cover another one."""
    for step in (0, -15, 15, -30, 30, -45, 45):
        if all(abs(label_y + step - y) >= 14 or label_x + width < x or x + other < label_x for x, y, other in taken):
            return label_y + step
    return label_y


def _vertical(at: float, y: _Scale, label: str, is_zero: bool) -> str:
    low, high = y(y.low), y(y.high)
    kind = "zero" if is_zero else "grid"
    return (
        f'<line class="{kind}" x1="{at:.1f}" x2="{at:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
        f'<text class="soft" x="{at:.1f}" y="{low + 17:.1f}" text-anchor="middle">{label}</text>'
    )


def _horizontal(at: float, x: _Scale, label: str, is_zero: bool) -> str:
    low, high = x(x.low), x(x.high)
    kind = "zero" if is_zero else "grid"
    return (
        f'<line class="{kind}" x1="{low:.1f}" x2="{high:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text class="soft" x="{low - 6:.1f}" y="{at + 4:.1f}" text-anchor="end">{label}</text>'
    )


def _number(value: float) -> str:
    return f"{value:,.10g}".replace("-", "\u2212") if abs(value) >= 1e-9 else "0"
