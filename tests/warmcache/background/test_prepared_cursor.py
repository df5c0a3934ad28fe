"""Statements whose text recurs: the same results as from Django's own cursor, in every kind of database."""

import threading
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import DataError, IntegrityError, connection, transaction

from tests.counting import counted
from warmcache.background.cursors import recurring_cursor
from warmcache.models import UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = UsageRecord._meta.db_table
MOMENT = datetime(2026, 11, 29, 12, tzinfo=UTC)


def both(sql: str, *values: object) -> list[tuple[list[tuple[object, ...]], list[str]]]:
    """Rows and names of columns, from this cursor and from Django's."""
    found = []
    for cursor in (recurring_cursor(connection), connection.cursor()):
        with cursor:
            cursor.execute(sql, values)
            found.append((cursor.fetchall(), [column[0] for column in cursor.description]))
    return found


def insert(**columns: object) -> UsageRecord:
    return UsageRecord.objects.create(
        label="guide", upstream="simulator", model="a model", purpose="reply", started_at=MOMENT, **columns
    )


def test_rows_and_names_are_those_of_djangos_cursor():
    insert(cost_usd=Decimal("0.00012"), numbers={"a": [1, "ü"]})
    insert()
    sql = f"SELECT id, label, started_at, cost_usd, numbers FROM {TABLE} WHERE label = %s AND label LIKE 'g%%'"  # noqa: S608

    for _ in range(3):
        ours, djangos = both(sql + " ORDER BY id", "guide")
        assert ours == djangos
        assert len(ours[0]) == 2


def test_the_same_text_takes_values_of_any_size_and_none():
    record = insert()
    for tokens in (1, 70_000, 3_000_000, None):
        with recurring_cursor(connection) as cursor:
            cursor.execute(f"UPDATE {TABLE} SET output_tokens = %s WHERE label = %s", [tokens or 0, "guide"])  # noqa: S608
            assert cursor.rowcount == 1
            cursor.execute(f"UPDATE {TABLE} SET request_id = %s, warm_up_id = %s", ["", tokens and None])  # noqa: S608
        record.refresh_from_db()
        assert record.output_tokens == (tokens or 0)


def test_it_begins_a_transaction_that_is_undone_as_a_whole():
    class Undone(Exception):
        pass

    with pytest.raises(Undone), transaction.atomic():
        with recurring_cursor(connection) as cursor:
            cursor.execute(
                f"INSERT INTO {TABLE} SELECT * FROM {TABLE} WHERE label = %s",  # noqa: S608
                ["nobody's"],
            )
        insert()
        raise Undone
    assert not UsageRecord.objects.exists()


def test_errors_are_djangos_and_the_connection_goes_on():
    record = insert()
    key = connection.ops.adapt_unknown_value(record.pk)
    key = key if connection.features.has_native_uuid_field else record.pk.hex
    with pytest.raises(IntegrityError), transaction.atomic(), recurring_cursor(connection) as cursor:
        cursor.execute(f"INSERT INTO {TABLE} SELECT * FROM {TABLE} WHERE id = %s", [key])  # noqa: S608
    with recurring_cursor(connection) as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {TABLE} WHERE label = %s", ["guide"])  # noqa: S608
        assert cursor.fetchone() == (1,)
        assert cursor.fetchone() is None


@pytest.mark.skipif(connection.vendor != "postgresql", reason="how PostgreSQL is asked")
@pytest.mark.parametrize(("threshold", "prepared"), [(5, 1), (None, 0)])
def test_a_statement_is_prepared_once_unless_a_pooler_is_between(threshold, prepared):
    import psycopg

    from warmcache.background.prepared_cursor import PreparedCursor

    parameters = {**connection.get_connection_params(), "prepare_threshold": threshold, "autocommit": True}
    with psycopg.connect(**parameters) as own:
        for text in ("a", "b", "c"):
            with PreparedCursor(own) as cursor:
                cursor.execute("SELECT %s::text", [text])
                assert cursor.fetchall() == [(text,)]
        assert own.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (prepared,)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="how PostgreSQL is asked")
def test_a_value_that_does_not_fit_is_djangos_error_too():
    with pytest.raises(DataError), transaction.atomic(), recurring_cursor(connection) as cursor:
        cursor.execute(f"SELECT 1 FROM {TABLE} WHERE id = %s", ["no key"])  # noqa: S608


def test_each_statement_is_counted_as_django_counts():
    with counted() as counts, recurring_cursor(connection) as cursor:
        cursor.execute(f"SELECT 1 FROM {TABLE} WHERE id = %s", [str(uuid.uuid4())])  # noqa: S608
    assert len(counts.statements) == 1


@pytest.mark.skipif(connection.vendor != "postgresql", reason="how PostgreSQL is asked")
@pytest.mark.parametrize("threshold", [5, None])
def test_other_threads_go_on_while_it_waits_for_a_lock(threshold):
    import psycopg

    from warmcache.background.prepared_cursor import PreparedCursor

    parameters = {**connection.get_connection_params(), "prepare_threshold": threshold, "autocommit": True}
    with psycopg.connect(**parameters) as holder, psycopg.connect(**parameters) as waiter:
        holder.execute("SELECT pg_advisory_lock(7)")
        got = []

        def wait() -> None:
            cursor = PreparedCursor(waiter)
            cursor.execute("SELECT pg_advisory_lock(%s::bigint) IS NULL", [7])
            got.append(cursor.fetchall())

        thread = threading.Thread(target=wait)
        thread.start()
        while (
            thread.is_alive()
            and not holder.execute(
                "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND pid = %s",
                [waiter.info.backend_pid],
            ).fetchone()
        ):
            pass
        assert thread.is_alive()
        holder.execute("SELECT pg_advisory_unlock(7)")
        thread.join()
    assert got == [[(False,)]]
