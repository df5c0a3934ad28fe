"""The cursor for statements whose text recurs. Used in a database thread."""

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper


def recurring_cursor(database: BaseDatabaseWrapper) -> Any:
    """A cursor of this thread's connection, quick where the database is PostgreSQL; else Django's own."""
    wrapper: Any = database
    with wrapper.wrap_database_errors:
        wrapper.close_if_health_check_failed()
        wrapper.ensure_connection()
    if not hasattr(wrapper.connection, "pgconn"):
        return wrapper.cursor()
    # Only here, because a host with another database has no psycopg.
    from warmcache.background.prepared_cursor import PreparedCursor

    return wrapper._prepare_cursor(PreparedCursor(wrapper.connection))
