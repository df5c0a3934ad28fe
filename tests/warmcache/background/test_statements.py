"""Statements that are compiled once: the same rows as through the ORM, in every kind of database."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from tests.counting import counted
from warmcache.background.statements import Insert, Select, Slot, Update, compile_all, objects_of
from warmcache.models import UsageRecord, WarmUp, WarmUpLine

pytestmark = pytest.mark.django_db

_OF_LABEL = Select(lambda: UsageRecord.objects.filter(label=Slot("label", UsageRecord)).order_by("started_at"))


def record(**columns: object) -> UsageRecord:
    return UsageRecord(
        label="guide", upstream="simulator", model="a model", purpose="reply", started_at=timezone.now(), **columns
    )


def columns_of(row: object) -> dict[str, object]:
    return {name: value for name, value in vars(row).items() if name != "_state"}


def test_rows_that_it_inserts_are_those_that_the_orm_reads():
    rows = [record(cost_usd="0.00012", numbers={"a": [1, "ü"]}, warm_up_id=None) for _ in range(2)]

    with counted() as counts:
        Insert(UsageRecord).run(*rows)

    stored = {row.pk: row for row in UsageRecord.objects.all()}
    for row in rows:
        row.cost_usd = stored[row.pk].cost_usd
        assert columns_of(stored[row.pk]) == columns_of(row)
        assert (row._state.adding, row._state.db) == (False, "default")
    assert len(counts.statements) == 1


def test_objects_that_it_selects_are_those_that_the_orm_selects():
    rows = [record(numbers={"n": number}) for number in range(3)]
    UsageRecord.objects.bulk_create([*rows, UsageRecord(label="other", started_at=timezone.now())])

    found = _OF_LABEL.objects(label="guide")

    assert [columns_of(each) for each in found] == [
        columns_of(each) for each in UsageRecord.objects.filter(label="guide").order_by("started_at")
    ]
    assert _OF_LABEL.objects(label="nobody's") == []


def test_it_selects_related_objects_and_leaves_deferred_columns_out():
    warm_up = WarmUp.objects.create(intent="open", label="guide", started_at=timezone.now())
    WarmUpLine.objects.create(warm_up=warm_up, position=0, layer="shared", prefix_tokens=1, ttl_seconds=300)
    lines = Select(
        lambda: (
            WarmUpLine.objects.filter(warm_up=Slot("warm_up", WarmUpLine))
            .select_related("warm_up")
            .defer("warm_up__numbers")
        )
    )

    [line] = lines.objects(warm_up=warm_up.pk)

    assert line.warm_up == warm_up
    assert line.warm_up.get_deferred_fields() == {"numbers"}


def test_it_updates_the_rows_that_its_condition_finds_and_counts_them():
    known, other = record(ttft_ms=1), record(ttft_ms=1)
    UsageRecord.objects.bulk_create([known, other])
    measured = Update(
        lambda: UsageRecord.objects.filter(pk=Slot("id", UsageRecord), ttft_ms__lt=5),
        lambda: {"ttft_ms": F("ttft_ms") + 10, "numbers": Slot("numbers", UsageRecord)},
    )

    assert measured.run(id=known.pk, numbers={"seen": True}) == 1
    assert measured.run(id=known.pk, numbers={}) == 0
    assert measured.run(id=uuid4(), numbers={}) == 0
    assert sorted(UsageRecord.objects.values_list("ttft_ms", flat=True)) == [1, 11]
    known.refresh_from_db()
    assert known.numbers == {"seen": True}


def test_it_is_compiled_once_however_often_it_runs():
    compiled: list[None] = []

    def queryset() -> object:
        compiled.append(None)
        return UsageRecord.objects.filter(pk=Slot("id", UsageRecord)).values_list("label")

    label: Callable[..., object] = Select(queryset).rows  # type: ignore[arg-type]
    row = record()
    UsageRecord.objects.bulk_create([row])

    assert [label(id=row.pk), label(id=uuid4()), label(id=row.pk)] == [[("guide",)], [], [("guide",)]]
    assert len(compiled) == 1


def test_a_forgotten_value_is_an_error_and_never_another_calls_value():
    _OF_LABEL.rows(label="guide")

    with pytest.raises(KeyError, match="label"):
        _OF_LABEL.rows()


def test_a_locking_one_needs_a_transaction_wherever_the_database_locks_rows():
    locking = Select(lambda: UsageRecord.objects.filter(pk=Slot("id", UsageRecord)).select_for_update(of=("self",)))

    with transaction.atomic():
        assert locking.objects(id=uuid4()) == []


def test_rows_of_a_hand_written_statement_become_objects_whatever_the_order_of_their_columns():
    warm_up = WarmUp.objects.create(intent="open", started_at=timezone.now())
    line = WarmUpLine.objects.create(warm_up=warm_up, position=0, layer="shared", prefix_tokens=1, ttl_seconds=300)
    names = [known.column for known in WarmUpLine._meta.concrete_fields][::-1]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 7 AS more, {', '.join(names)} FROM {WarmUpLine._meta.db_table}")  # noqa: S608
        rows = cursor.fetchall()

    [(found, row)] = objects_of(WarmUpLine, ["more", *names], rows)

    assert columns_of(found) == columns_of(WarmUpLine.objects.get(pk=line.pk))
    assert row["more"] == 7


@pytest.mark.parametrize(
    "statement", [Select(lambda: UsageRecord.objects.filter(pk=Slot("id", UsageRecord))), Insert(WarmUp)]
)
def test_what_is_compiled_ahead_is_not_compiled_again(statement: Select | Insert, monkeypatch: pytest.MonkeyPatch):
    compile_all()
    monkeypatch.setattr(type(connection.ops), "compiler", None)

    if isinstance(statement, Select):
        assert statement.rows(id=uuid4()) == []
    else:
        statement.run(WarmUp(intent="open", label="guide", started_at=timezone.now()))
        statement.run(*(WarmUp(intent="open", label="guide", started_at=timezone.now()) for _ in range(2)))
