"""How figures are written on the operator's pages."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext

from warmcache.core.statistics import Interval

CENT = Decimal("0.01")
TABLE = (
    '<div class="console__scroll" tabindex="0" role="region" aria-label="{}">'
    "<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
)


def moment(at: datetime) -> str:
    """A moment to the second: a warm-up and the request that reads it are often that close."""
    return date_format(localtime(at), "Y-m-d H:i:s")


def dollars(amount: Decimal | float | None) -> str:
    """An amount with four decimals, or six if it is less than a cent."""
    if amount is None:
        return gettext("unknown")
    sign, size = "-" if amount < 0 else "", abs(Decimal(amount))
    return f"{sign}${size:,.4f}" if size >= CENT or size == 0 else f"{sign}${size:,.6f}"


def seconds(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "-"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.2f} s"


def share(part: float | None) -> str:
    return "-" if part is None else f"{part:.0%}" if part in (0, 1) else f"{part:.1%}"


def interval(found: Interval | None, write: Any) -> str:
    if found is None:
        return gettext("not enough data")
    told = gettext("%(value)s (95 %%: %(low)s to %(high)s)")
    return told % {"value": write(found.value), "low": write(found.low), "high": write(found.high)}


def table(headings: Sequence[str | Promise], lines: Iterable[tuple[Any, ...]]) -> SafeString:
    """A small table; every cell is escaped unless it is marked safe."""
    head = format_html_join("", "<th>{}</th>", ((heading,) for heading in headings))
    body = format_html_join("", "<tr>{}</tr>", ((_cells(line),) for line in lines))
    return format_html(
        TABLE,
        gettext("Table: %(first)s, %(second)s and more") % {"first": headings[0], "second": headings[1]},
        head,
        body,
    )


def _cells(line: tuple[Any, ...]) -> SafeString:
    return format_html_join("", "<td>{}</td>", ((cell,) for cell in line))
