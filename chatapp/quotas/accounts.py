"""The accounts in the database, which every process shares: one statement adds to all of them at once.

The statement creates what is missing, begins a new minute, day or month where the old one is over, and returns the new
state. It locks the rows in the order of their names, so that two of them never wait for each other, and until the
transaction ends: make it the last one. Hand-written, because Django has no insert that adds to an existing row.
"""

from collections.abc import Collection, Mapping

from django.contrib.auth.models import Group
from django.db import connection

from chatapp.models import UsageAccount, User
from chatapp.quotas.measures import Amount, Standing, day_of, month_of
from warmcache.background.cursors import recurring_cursor

ALL = "all"
COLUMNS = (
    "minute_began_at",
    "minute_messages",
    "day",
    "day_messages",
    "day_units",
    "month",
    "month_units",
    "running",
)

_SUM = "account.{0} + excluded.{0}"
_POSITIVE = "CASE WHEN excluded.{0} > 0 THEN excluded.{0} ELSE 0 END"


def _of_period(period: str, column: str) -> str:
    """What was given back from an earlier period is not taken from the current one."""
    plus, only = _SUM.format(column), _POSITIVE.format(column)
    return (
        f"{column} = CASE WHEN account.{period} = excluded.{period} THEN {plus}"
        f" WHEN account.{period} < excluded.{period} THEN {only} ELSE account.{column} + {only} END"
    )


def _latest(column: str) -> str:
    return f"{column} = CASE WHEN account.{column} > excluded.{column} THEN account.{column} ELSE excluded.{column} END"


_IS_NEW_MINUTE = "excluded.minute_messages > 0 AND excluded.minute_began_at >= account.minute_began_at + 60"
_CHANGES = ", ".join(
    (
        f"minute_messages = CASE WHEN {_IS_NEW_MINUTE} THEN excluded.minute_messages"
        f" ELSE {_SUM.format('minute_messages')} END",
        f"minute_began_at = CASE WHEN {_IS_NEW_MINUTE} THEN excluded.minute_began_at ELSE account.minute_began_at END",
        _of_period("day", "day_messages"),
        _of_period("day", "day_units"),
        _latest("day"),
        _of_period("month", "month_units"),
        _latest("month"),
        f"running = CASE WHEN {_SUM.format('running')} > 0 THEN {_SUM.format('running')} ELSE 0 END",
        _latest("changed_at"),
    )
)


def name_of(user_id: int) -> str:
    return UsageAccount.name_of(user_id)


def name_of_group(group_id: int) -> str:
    return f"group:{group_id}"


def post(user_id: int | None, amount: Amount, *, now: float, groups: Collection[int] = ()) -> dict[str, Standing]:
    """Adds `amount` to the accounts of the person, of those of `groups` that the person is in, and of everybody, and
    returns their new state by name. `now`: epoch seconds; of what is given back, those at which it was taken."""
    names = [ALL] if user_id is None else [ALL, name_of(user_id)]
    rows = " UNION ALL ".join(["SELECT %s AS name"] * len(names))
    parameters: list[str | int] = list(names)
    if groups and user_id is not None:
        through = connection.ops.quote_name(User.groups.through._meta.db_table)
        rows += f" UNION ALL SELECT 'group:' || group_id AS name FROM {through} WHERE user_id = %s"  # noqa: S608 - here as below, the values are parameters
        rows += f" AND group_id IN ({_marks(len(groups))})"
        parameters += [user_id, *groups]
    day, month = (day_of(now), amount.messages, amount.units), (month_of(now), amount.units)
    values = [now, amount.messages, *day, *month, amount.replies, now]
    table = connection.ops.quote_name(UsageAccount._meta.db_table)
    columns = ", ".join(COLUMNS)
    sql = f"""
        INSERT INTO {table} AS account (name, {columns}, changed_at)
        SELECT scopes.name, {_marks(len(values))} FROM ({rows}) AS scopes WHERE true ORDER BY scopes.name
        ON CONFLICT (name) DO UPDATE SET {_CHANGES}
        RETURNING name, {columns}
        """  # noqa: S608
    with recurring_cursor(connection) as cursor:
        cursor.execute(sql, [*values, *parameters])
        return {name: _standing(state) for name, *state in cursor.fetchall()}


def read(names: Collection[str]) -> Mapping[str, Standing]:
    """The state of those accounts that exist."""
    rows = UsageAccount.objects.filter(name__in=names).values_list("name", *COLUMNS)
    return {name: _standing(state) for name, *state in rows}


def standing_of(account: UsageAccount) -> Standing:
    """The state of a row that is read already."""
    return _standing([getattr(account, column) for column in COLUMNS])


def groups_of(user_id: int, groups: Collection[int]) -> Collection[int]:
    """Those of `groups` that the person is in."""
    return list(Group.objects.filter(user=user_id, pk__in=groups).values_list("pk", flat=True))


def forget_lost_replies(*, before: float) -> int:
    """Sets running replies to none where nothing has changed since `before`, longer than any reply takes: the process
    that wrote them died, and their rows were deleted meanwhile."""
    return UsageAccount.objects.filter(running__gt=0, changed_at__lt=before).update(running=0)


def _marks(count: int) -> str:
    return ", ".join(["%s"] * count)


def _standing(state: list[float]) -> Standing:
    return Standing(**dict(zip(COLUMNS, state, strict=True)))  # type: ignore[arg-type]
