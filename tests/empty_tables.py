"""Empties the database after a test that commits, at the cost of what the test has written.

Django's own way empties every table (on PostgreSQL that makes the files of each table and index anew), then looks for
the content types and permissions of every model and makes them again: more work than most tests do themselves. Here
the tables that have rows are emptied, and what `migrate` writes into every database stays as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.test import TransactionTestCase

STAY = (ContentType._meta.db_table, Permission._meta.db_table)


@contextmanager
def only_what_has_rows() -> Iterator[None]:
    """Tests that commit are cleaned up after in this way; the default database is migrated already."""
    usual = TransactionTestCase._fixture_teardown
    tables = sorted(set(connection.introspection.django_table_names(only_existing=True)) - set(STAY))
    quoted = [connection.ops.quote_name(table) for table in tables]
    having_rows = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name})" for name in quoted)  # noqa: S608
    staying = _rows_that_stay()

    def empty(case: TransactionTestCase) -> None:
        nonlocal staying
        if _rows_that_stay() != staying:
            usual(case)
            staying = _rows_that_stay()
            return
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(having_rows)
            for (name,) in cursor.fetchall():
                cursor.execute(f"DELETE FROM {name}")  # noqa: S608

    TransactionTestCase._fixture_teardown = empty  # type: ignore[method-assign]
    try:
        yield
    finally:
        TransactionTestCase._fixture_teardown = usual  # type: ignore[method-assign]


def _rows_that_stay() -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        found = []
        for table in STAY:
            cursor.execute(f"SELECT * FROM {table} ORDER BY id")  # noqa: S608
            found += cursor.fetchall()
    return found
