"""Where the ledger's rows are and how moments are kept there, whatever the host's routers and `USE_TZ` say."""

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from django.conf import settings
from django.db import connections, models, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.timezone import get_default_timezone, is_aware, make_aware, make_naive

P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=models.Model)


def connection_of(model: type[models.Model]) -> BaseDatabaseWrapper:
    """This thread's connection to the database in which the host's routers put this model's rows."""
    return connections[router.db_for_write(model)]


def in_transaction_of(model: type[models.Model]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Like `transaction.atomic`, in the database of this model."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            with transaction.atomic(using=router.db_for_write(model)):
                return function(*args, **kwargs)

        return call

    return decorate


class LedgerManager(models.Manager[M]):
    """Reads where it writes: a replica would not know the row that was written a moment ago."""

    def get_queryset(self) -> models.QuerySet[M]:
        return super().get_queryset().using(self._db or router.db_for_write(self.model))


class MomentField(models.DateTimeField):  # type: ignore[type-arg]  # of Django's own columns
    """A `DateTimeField` whose values are aware and stored in UTC in a project with `USE_TZ = False` too, where Django
    would refuse them or lose an hour each autumn. No migration tells it from a `DateTimeField`."""

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        return stored_moment(value if prepared else self.get_prep_value(value), connection)

    def get_db_converters(self, connection: BaseDatabaseWrapper) -> list[Callable[..., Any]]:
        return [] if settings.USE_TZ else [_read_moment]

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs


def stored_moment(value: Any, connection: BaseDatabaseWrapper) -> Any:
    """`value` as a parameter of a statement."""
    if isinstance(value, datetime) and not settings.USE_TZ:
        aware = value if is_aware(value) else make_aware(value, get_default_timezone())
        value = aware if connection.features.supports_timezones else make_naive(aware, UTC)
    return connection.ops.adapt_datetimefield_value(value)


def read_moment(value: datetime, connection: BaseDatabaseWrapper) -> datetime:
    """A moment as the database gave it: naive where it has no type for moments, or where `USE_TZ` is False."""
    if is_aware(value):
        return value
    is_local = connection.features.supports_timezones and not settings.USE_TZ
    # In UTC again: of an hour that comes twice, Python finds no two moments of different zones equal.
    return make_aware(value, get_default_timezone() if is_local else UTC).astimezone(UTC)


def _read_moment(value: datetime | None, _expression: Any, connection: BaseDatabaseWrapper) -> datetime | None:
    return None if value is None else read_moment(value, connection)
