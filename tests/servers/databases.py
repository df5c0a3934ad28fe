"""Databases for tests: what is prepared once is copied, for SQLite as a file, on PostgreSQL as a template."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.servers import postgres_server
from tests.servers.fork_server import output_of
from tests.servers.once import made_once, shared_folder


def migrated_template(url: str, *, environment: Mapping[str, str]) -> str:
    """The URL of a migrated database without rows, on the server of the one at `url`: to be copied."""

    def make() -> str:
        template = new_template(url)
        output_of(["-m", "tests.servers.prepare", "migrate"], environment={**environment, "DATABASE_URL": template})
        return template

    return made_once(f"migrated {server_of(url)}", make)


def server_of(url: str) -> str:
    """The server of a database; SQLite's files have one for all."""
    return "sqlite" if _is_sqlite(url) else postgres_server.without_name(url)


def new_template(url: str) -> str:
    """Creates an empty database on the server of another; it stays until the tests end. Returns its URL."""
    if not _is_sqlite(url):
        return postgres_server.create_database(url)
    with tempfile.NamedTemporaryFile(dir=shared_folder(), suffix=".sqlite3", delete=False) as file:
        return f"sqlite:///{file.name}"


def copy_database(template: str, *, to: str) -> None:
    """Replaces the empty database `to` by a copy of `template`, to which nobody is connected."""
    if _is_sqlite(to):
        shutil.copyfile(path_of(template), path_of(to))
    else:
        postgres_server.replace_by_copy(to, of=template)


def drop_database(url: str) -> None:
    """Removes a database, whoever is still connected to it."""
    if _is_sqlite(url):
        for ending in ("", "-wal", "-shm"):
            Path(f"{path_of(url)}{ending}").unlink(missing_ok=True)
    else:
        postgres_server.drop_database(url)


def name_of(url: str) -> str:
    """What Django calls the database on its server."""
    return str(path_of(url)) if _is_sqlite(url) else postgres_server.name_in(url)


def path_of(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


def _is_sqlite(url: str) -> bool:
    return url.startswith("sqlite")
