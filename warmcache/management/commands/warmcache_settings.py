"""`manage.py warmcache_settings`: every entry of WARMCACHE, its default and what it is for, from `Config` itself."""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from types import NoneType
from typing import Any, get_args, get_origin

from django.core.management.base import BaseCommand

from warmcache.conf import Config

HEAD = """\
# Settings of warmcache

The entries of `WARMCACHE`. Times in seconds, money in US dollars. Printed by `python manage.py warmcache_settings`.

| entry | type | default | |
|---|---|---|---|
"""


class Command(BaseCommand):
    """Prints Markdown."""

    help = "Print every entry of WARMCACHE with its default and what it is for."
    requires_system_checks: list[str] = []

    def handle(self, **options: Any) -> None:
        self.stdout.write(page(), ending="")


def page() -> str:
    """The page, as `warmcache/SETTINGS.md` has it."""
    told = dict(_told())
    return HEAD + "".join(_row(field, told.get(field.name, "")) for field in fields(Config))


def _row(field: "Field[Any]", told: str) -> str:
    default = field.default if field.default is not MISSING else {}
    return f"| `{field.name.upper()}` | {_kind(field.type)} | `{_shown(default)}` | {told} |\n"


def _kind(of: Any) -> str:
    """As a settings file would have it: a list, a text."""
    if get_origin(of) in (tuple, dict):
        return "list" if get_origin(of) is tuple else "dict"
    kinds = get_args(of) or (of,)
    return " or ".join(
        "None" if kind is NoneType else "str" if issubclass(kind, str) else kind.__name__ for kind in kinds
    )


def _shown(default: Any) -> str:
    if isinstance(default, tuple):
        return str([str(each) for each in default])
    return repr(str(default)) if isinstance(default, str) else str(default)


def _told() -> Iterator[tuple[str, str]]:
    """What stands below each field. Python itself does not keep it."""
    [made] = ast.parse(inspect.getsource(Config)).body
    assert isinstance(made, ast.ClassDef)  # noqa: S101 - for the type checker
    for field, below in zip(made.body, made.body[1:], strict=False):
        if not (isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)):
            continue
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            yield field.target.id, " ".join(str(below.value.value).split()).replace("|", "or")
