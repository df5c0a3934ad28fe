"""Figures and rows as files: CSV that a spreadsheet cannot take for formulas, and JSON; sent while they are read.

The ledger knows people by their subject, and so do these files: what has left cannot be erased. No row holds a word of
what anybody wrote.
"""

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from django.core.handlers.asgi import ASGIRequest
from django.db.models import Q, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.http import content_disposition_header

from warmcache.background.database import in_database_thread

ROWS_AT_ONCE = 500
"""Read by one statement, and held in memory: an export of any length costs a process no more."""

Kind = Literal["csv", "json"]
KINDS: dict[Kind, str] = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
FORMULA = re.compile(r"(^|[;,\t\r\n|])(\s*)([=+\-@\uff0b\uff0d\uff1d\uff20])")
"""How a formula begins: in a cell, or behind what another country's spreadsheet takes for the end of one."""

FIGURE_COLUMNS = ("table", "row", "upstream", "label", "model", "intent", "figure", "value")
_WORDS = FIGURE_COLUMNS[2:6]


def streamed(request: HttpRequest, parts: Iterator[str], *, kind: Kind, name: str) -> StreamingHttpResponse:
    """Each part is made when the one before it has left: in a thread of the database's where the server is async."""
    content = _in_threads(parts) if isinstance(request, ASGIRequest) else parts
    response = StreamingHttpResponse(content, content_type=KINDS[kind])
    response.headers["Content-Disposition"] = content_disposition_header(True, f"{name}.{kind}") or ""
    response.headers["Cache-Control"] = "no-store"
    return response


def rows_as(kind: Kind, rows: QuerySet[Any], *, by: str) -> Iterator[str]:
    """All columns of these rows, the newest first. `by`: the column of the moment."""
    first = (rows.model._meta.pk.attname, by)
    names = [*first, *(field.attname for field in rows.model._meta.concrete_fields if field.attname not in first)]
    found = pages_of(rows, names, by=by)
    return _csv(names, found) if kind == "csv" else _json(names, found)


def pages_of(rows: QuerySet[Any], names: Sequence[str], *, by: str) -> Iterator[list[tuple[Any, ...]]]:
    """Each page begins where the last one ended: no statement is long, and what is added meanwhile is not met."""
    ordered = rows.order_by(f"-{by}", "-pk")
    key, at = names.index(rows.model._meta.pk.attname), names.index(by)
    left = ordered
    while True:
        page = list(left.values_list(*names)[:ROWS_AT_ONCE])
        if page:
            yield page
        if len(page) < ROWS_AT_ONCE:
            return
        moment, pk = page[-1][at], page[-1][key]
        # The first condition is implied; an index serves it.
        left = ordered.filter(Q(**{f"{by}__lte": moment}), Q(**{f"{by}__lt": moment}) | Q(pk__lt=pk))


def figures_as(kind: Kind, figures: dict[str, Any]) -> Iterator[str]:
    """A report's figures (`reports.text.as_json`): in CSV one line for each, with the words that it belongs to."""
    if kind == "json":
        yield json.dumps(figures, indent=2)
    else:
        yield from _csv(FIGURE_COLUMNS, [list(_figures(figures))])


def _figures(figures: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    for table, value in figures.items():
        if isinstance(value, list) and all(isinstance(row, dict) for row in value):
            for number, row in enumerate(value, start=1):
                words = tuple(row.get(word, "") for word in _WORDS)
                rest = {name: cell for name, cell in row.items() if name not in _WORDS}
                yield from ((table, number, *words, name, cell) for name, cell in _flat(rest))
        else:
            yield from (("report", "", "", "", "", "", name, cell) for name, cell in _flat({table: value}))


def _flat(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, cell in value.items():
        if isinstance(cell, dict):
            yield from _flat(cell, f"{before}{name}.")
        else:
            yield f"{before}{name}", ", ".join(map(str, cell)) if isinstance(cell, list) else cell


def _csv(names: Sequence[str], pages: Iterable[Sequence[tuple[Any, ...]]]) -> Iterator[str]:
    yield _lines([names])
    for page in pages:
        yield _lines([[_cell(value) for value in row] for row in page])


def _lines(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    plain = _plain(value)
    if isinstance(plain, dict | list):
        plain = json.dumps(plain)
    is_number = isinstance(value, int | float | Decimal)
    return plain if is_number or not isinstance(plain, str) else harmless(plain)


def harmless(text: str) -> str:
    """The same text for a reader, and no formula for a spreadsheet."""
    return FORMULA.sub(r"\1\2'\3", text)


def _json(names: Sequence[str], pages: Iterable[Sequence[tuple[Any, ...]]]) -> Iterator[str]:
    """One array, a line for each row."""
    before = "[\n"
    for page in pages:
        lines = (json.dumps(dict(zip(names, map(_plain, row), strict=True))) for row in page)
        yield before + ",\n".join(lines)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return format(value, "f")
        case datetime():
            return value.isoformat()
        case UUID():
            return str(value)
    return value


async def _in_threads(parts: Iterator[str]) -> AsyncIterator[str]:
    following: Callable[[Iterator[str], str], str] = next
    while part := await in_database_thread(following, parts, ""):
        yield part
