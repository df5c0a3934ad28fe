"""Whether this process can serve: the state behind `/readyz`."""

import threading
from typing import Protocol

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from chatapp import front_end
from warmcache.stores import health as redis_health


class Child(Protocol):
    """A process we depend on."""

    def is_alive(self) -> bool: ...


class Health:
    """What is known about this process. There is one instance, `health`, for the whole process."""

    def __init__(self) -> None:
        self.draining = threading.Event()
        self.others_start = threading.Event()
        """Set while this is one of several processes that are not all ready yet."""
        self.simulator: Child | None = None
        self._is_migrated = False
        self._has_pages = False

    def trouble(self) -> str | None:
        """Why no request should be sent to this process, as one word; None if it can serve. Blocks on the database."""
        if self.draining.is_set():
            return "draining"
        if self.others_start.is_set():
            return "starting"
        if self.simulator is not None and not self.simulator.is_alive():
            return "simulator"
        if not self._can_show_pages():
            return "front-end"
        try:
            return None if self._can_query() else "migrations"
        except DatabaseError:
            return "database"

    def lacks(self) -> str | None:
        """What is missing and does not keep this process from serving. Without Redis nothing is warmed and events reach
        only this process, but people chat. Were it unready for that, all would be, and the site down."""
        return "redis" if redis_health.is_lost() else None

    def _can_show_pages(self) -> bool:
        self._has_pages = self._has_pages or not front_end.missing_files()
        return self._has_pages

    def _can_query(self) -> bool:
        # Migrations are not undone under a running process: once they are complete, a simple query is enough.
        if not self._is_migrated:
            self._is_migrated = not pending_migrations()
        else:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        return self._is_migrated


def pending_migrations() -> int:
    """How many migrations the database lacks."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


health = Health()
