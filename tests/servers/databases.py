"""Databases for test servers: what is prepared once is copied, for SQLite as a file, on PostgreSQL as a template."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from tests.servers import postgres_server


def server_of(url: str) -> str:
    """The server of a database; SQLite's files have one for all."""
    return "sqlite" if _is_sqlite(url) else postgres_server.without_name(url)


def new_template(url: str) -> str:
    """Creates an empty database on the server of another; it stays until the tests end. Returns its URL."""
    if not _is_sqlite(url):
        return postgres_server.create_database(url)
    with tempfile.NamedTemporaryFile(dir=_folder_for_templates(), suffix=".sqlite3", delete=False) as file:
        return f"sqlite:///{file.name}"


def copy_database(template: str, *, to: str) -> None:
    """Replaces the empty database `to` by a copy of `template`, to which nobody is connected."""
    if _is_sqlite(to):
        shutil.copyfile(_path(template), _path(to))
    else:
        postgres_server.replace_by_copy(to, of=template)


def _is_sqlite(url: str) -> bool:
    return url.startswith("sqlite")


def _path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


@cache
def _folder_for_templates() -> str:
    folder = tempfile.mkdtemp(prefix="warmcache-templates-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
