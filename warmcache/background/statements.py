"""Statements of the ORM that are compiled once per kind of database and then only filled in and executed.

Building and compiling a query costs several times what the database does for it. The statements of every message are
therefore written as usual, with a `Slot` in place of each value that differs from call to call:

    _TITLE = Select(lambda: Conversation.objects.filter(pk=Slot("id", Conversation)).values_list("title"))
    rows = _TITLE.rows(id=conversation_id)

What a statement says still comes from the models alone. Called in a database thread.
"""

import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from django.db import models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import query as queries
from django.db.models.expressions import Expression
from django.db.models.sql import InsertQuery, UpdateQuery

from warmcache.background.cursors import recurring_cursor
from warmcache.databases import connection_of

M = TypeVar("M", bound=models.Model)
AnyQuerySet = models.QuerySet[Any]
Row = tuple[Any, ...]
Converter = tuple[Sequence[Callable[..., Any]], Any]
"""Functions that turn the database's value of a column into ours, and the selected expression."""


class Slot(Expression):
    """A value that each call gives by `name`, prepared for the database as the model's column is: the one of the same
    name unless `column` names another."""

    def __init__(self, name: str, model: type[models.Model], column: str = "") -> None:
        super().__init__(output_field=cast(Any, model._meta.get_field(column or name)))
        self.name = name

    def as_sql(self, compiler: Any, connection: BaseDatabaseWrapper) -> Any:
        return "%s", [self]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    sql: str
    parameters: tuple[Any, ...]
    """Slots, and values that never change."""
    converters: Mapping[int, Converter] = field(default_factory=dict)
    make: Callable[[Row], Any] = tuple
    """Makes the object of a selected row."""

    def execute(self, cursor: Any, values: Mapping[str, Any]) -> None:
        cursor.execute(self.sql, self.filled(values, cursor.db))

    def filled(self, values: Mapping[str, Any], database: BaseDatabaseWrapper) -> list[Any]:
        return [
            _prepared(each.output_field, values[each.name], database) if isinstance(each, Slot) else each
            for each in self.parameters
        ]


class _Statement(ABC):
    """Compiled at its first use, or by `compile_all`: before that, neither the models nor the kind of the database need
    be known."""

    def __init__(self, queryset: Callable[[], AnyQuerySet]) -> None:
        self._make = queryset
        self._made: AnyQuerySet | None = None
        self._by_database: dict[tuple[str, str], _Compiled] = {}
        _all.add(self)

    def compile(self) -> None:
        database = self._database()
        # Django compiles no `FOR UPDATE` outside of a transaction.
        with transaction.atomic(using=database.alias):
            self._compiled(database)

    def _queryset(self) -> AnyQuerySet:
        if self._made is None:
            self._made = self._make()
        return self._made

    def _database(self) -> BaseDatabaseWrapper:
        return connection_of(self._queryset().model)

    def _compiled(self, database: BaseDatabaseWrapper) -> _Compiled:
        key = (database.alias, database.vendor)
        found = self._by_database.get(key)
        if found is None:
            found = self._by_database[key] = self._compile(database)
        return found

    @abstractmethod
    def _compile(self, database: BaseDatabaseWrapper) -> _Compiled: ...


class Select(_Statement):
    def rows(self, **values: Any) -> list[Row]:
        """The selected columns, in order."""
        return self._rows(self._database(), values)

    def objects(self, **values: Any) -> list[Any]:
        """The same as objects of the model, with what `select_related` names."""
        database = self._database()
        make = self._compiled(database).make
        return [make(row) for row in self._rows(database, values)]

    def _rows(self, database: BaseDatabaseWrapper, values: Mapping[str, Any]) -> list[Row]:
        compiled = self._compiled(database)
        with recurring_cursor(database) as cursor:
            compiled.execute(cursor, values)
            return [_converted(row, compiled.converters, cursor.db) for row in cursor.fetchall()]

    def _compile(self, database: BaseDatabaseWrapper) -> _Compiled:
        compiler: Any = self._queryset().query.clone().get_compiler(connection=database)
        sql, parameters = compiler.as_sql()
        return _Compiled(
            sql=sql,
            parameters=tuple(parameters),
            converters=compiler.get_converters([expression for expression, *_ in compiler.select]),
            make=_maker(compiler, self._queryset()) if compiler.klass_info else tuple,
        )


class Update(_Statement):
    """`changes`: the columns' new values, which may be slots."""

    def __init__(self, queryset: Callable[[], AnyQuerySet], changes: Callable[[], Mapping[str, Any]]) -> None:
        super().__init__(queryset)
        self._changes = changes

    def run(self, **values: Any) -> int:
        """Returns the number of rows that the condition found."""
        database = self._database()
        with recurring_cursor(database) as cursor:
            self._compiled(database).execute(cursor, values)
            return int(cursor.rowcount)

    def run_all(self, many: Sequence[Mapping[str, Any]]) -> None:
        """Once for each of the values, in one round trip where the database can."""
        database = self._database()
        compiled = self._compiled(database)
        with database.cursor() as cursor:
            cursor.executemany(compiled.sql, [compiled.filled(values, cursor.db) for values in many])

    def _compile(self, database: BaseDatabaseWrapper) -> _Compiled:
        query: Any = self._queryset().query.chain(UpdateQuery)
        query.add_update_values(self._changes())
        sql, parameters = query.get_compiler(connection=database).as_sql()
        return _Compiled(sql=sql, parameters=tuple(parameters))


class Insert:
    """Rows that have their key already, as `bulk_create` inserts them: all in one statement and without signals."""

    def __init__(self, model: type[models.Model]) -> None:
        self._model = model
        self._parts: dict[tuple[str, str], tuple[str, str]] = {}
        self._sql: dict[tuple[str, str, int], str] = {}
        _all.add(self)

    def compile(self) -> None:
        self._parts_for(connection_of(self._model))

    def run(self, *objects: models.Model) -> None:
        fields: Sequence[Any] = self._model._meta.concrete_fields
        database = connection_of(self._model)
        key = (database.alias, database.vendor, len(objects))
        sql = self._sql.get(key)
        if sql is None:
            head, row = self._parts_for(database)
            # For several rows, Django would give PostgreSQL one array for each column.
            sql = self._sql[key] = head + ", ".join([row] * len(objects))
        with recurring_cursor(database) as cursor:
            parameters = [
                _prepared(field, field.pre_save(each, True), cursor.db) for each in objects for field in fields
            ]
            cursor.execute(sql, parameters)
        for each in objects:
            each._state.adding = False
            each._state.db = database.alias

    def _parts_for(self, database: BaseDatabaseWrapper) -> tuple[str, str]:
        """The statement up to its values, and the values of one row."""
        key = (database.alias, database.vendor)
        parts = self._parts.get(key)
        if parts is None:
            query: Any = InsertQuery(self._model)
            query.insert_values(self._model._meta.concrete_fields, [self._model()])
            [(sql, _)] = query.get_compiler(connection=database).as_sql()
            head, values, row = sql.rpartition(" VALUES ")
            parts = self._parts[key] = (head + values, row)
        return parts


_all: "weakref.WeakSet[_Statement | Insert]" = weakref.WeakSet()


def compile_all() -> None:
    """Compiles what the imported modules have, so that the first message does not wait for it."""
    for statement in list(_all):
        statement.compile()


def _maker(compiler: Any, queryset: AnyQuerySet) -> Callable[[Row], Any]:
    """As `QuerySet` makes objects of rows."""
    known, alias = compiler.klass_info, compiler.connection.alias
    first, last = known["select_fields"][0], known["select_fields"][-1] + 1
    names = [expression.target.attname for expression, *_ in compiler.select[first:last]]
    # Since Django 6.1: how columns that were left out are fetched later.
    mode = [queryset._fetch_mode] if hasattr(queryset, "_fetch_mode") else []
    populators = cast(Any, queries).get_related_populators(known, compiler.select, alias, *mode)

    def make(row: Row) -> Any:
        made = known["model"].from_db(alias, names, row[first:last])
        for populator in populators:
            populator.populate(row, made)
        return made

    return make


def objects_of(model: type[M], names: Sequence[str], rows: Sequence[Row]) -> list[tuple[M, Mapping[str, Any]]]:
    """Objects of rows that a hand-written statement has returned, each with its row's other columns as they came.
    `names`: those of the columns, among them all of the model's."""
    if not rows:
        return []
    fields: Sequence[Any] = model._meta.concrete_fields
    positions = [names.index(known.column) for known in fields]
    query: Any = InsertQuery(model)
    database = connection_of(model)
    compiler = query.get_compiler(connection=database)
    converters = compiler.get_converters([known.get_col(model._meta.db_table) for known in fields])
    attributes = [known.attname for known in fields]
    found: list[tuple[M, Mapping[str, Any]]] = []
    for row in rows:
        columns = tuple(row[position] for position in positions)
        made = model.from_db(database.alias, attributes, _converted(columns, converters, database))
        found.append((made, dict(zip(names, row, strict=True))))
    return found


def _prepared(field: Any, value: Any, database: BaseDatabaseWrapper) -> Any:
    """Most values need nothing, and asking the field costs more than all the rest. `database` is the thread's own
    connection: each use of `django.db.connection` looks it up."""
    if value is None or (type(value) is str and isinstance(field, models.CharField | models.TextField)):
        return value
    return field.get_db_prep_save(value, database)


def _converted(row: Row, converters: Mapping[int, Converter], database: BaseDatabaseWrapper) -> Row:
    columns = list(row)
    for position, (steps, expression) in converters.items():
        value = columns[position]
        for step in steps:
            value = step(value, expression, database)
        columns[position] = value
    return tuple(columns)
