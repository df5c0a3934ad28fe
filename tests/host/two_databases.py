"""A project whose router gives warmcache a database of its own: nothing of it may go to the default one."""

import os
from typing import Any

import environ

from tests.host.settings import *  # noqa: F403 - the same project otherwise


class LedgerApart:
    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "replica" if model._meta.app_label == "warmcache" else None

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "ledger" if model._meta.app_label == "warmcache" else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return (db == "ledger") == (app_label == "warmcache")


def _postgres(name: str) -> dict[str, Any]:
    return dict(environ.Env.db_url_config(os.environ[name]))


DATABASES = {
    "default": _postgres("HOST_DEFAULT"),
    "ledger": _postgres("HOST_LEDGER"),
    # One that lags behind for ever: it has no tables.
    "replica": _postgres("HOST_DEFAULT"),
}
DATABASE_ROUTERS = ["tests.host.two_databases.LedgerApart"]
