"""No query may run on the one thread that all sockets of a process share: async code has one way to the ORM."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FORBIDDEN_NAMES = {"sync_to_async", "database_sync_to_async", "aclose_old_connections", "aatomic"}
# The ORM's own async methods are `sync_to_async` inside. `aget` and the like of other objects are not used here.
FORBIDDEN_METHODS = {
    *("aget", "acreate", "abulk_create", "abulk_update", "aget_or_create", "aupdate_or_create", "acount", "aaggregate"),
    *("aexists", "afirst", "alast", "alatest", "aearliest", "ain_bulk", "aiterator", "aupdate", "adelete", "asave"),
    *("arefresh_from_db", "acontains", "aexplain", "aadd", "aset", "aremove", "aclear"),
}
SOURCES = sorted(
    path
    for package in ("chatapp", "warmcache")
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts
)


def slips_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        called = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
        if isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES:
            yield node.lineno, node.id
        elif isinstance(node, ast.alias) and node.name.rpartition(".")[2] in FORBIDDEN_NAMES:
            yield node.lineno, node.name
        elif isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_NAMES:
            yield node.lineno, node.attr
        elif called in FORBIDDEN_METHODS:
            yield node.lineno, called
        elif isinstance(node, ast.AsyncFor) and _is_query(node.iter):
            yield node.lineno, "async for over a query"


def _is_query(expression: ast.expr) -> bool:
    return any(isinstance(part, ast.Attribute) and part.attr == "objects" for part in ast.walk(expression))


def test_async_code_reaches_the_database_through_its_own_threads_alone():
    slips = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in SOURCES
        for line, what in slips_in(ast.parse(path.read_text()))
    ]

    assert slips == [], "use warmcache.background.database.in_database_thread"


@pytest.mark.parametrize(
    "slip",
    [
        "from asgiref.sync import sync_to_async",
        "from channels.db import database_sync_to_async as other",
        "await asgiref.sync.sync_to_async(f)()",
        "async def f():\n    await Message.objects.aget(pk=1)",
        "async def f():\n    await message.asave()",
        "async def f():\n    async for m in Message.objects.filter(pk=1): pass",
    ],
)
def test_each_kind_of_slip_is_found(slip):
    assert list(slips_in(ast.parse(slip)))
