"""The accounts in the database: one statement adds to all of them, whoever writes at the same moment."""

import threading
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Group
from django.db import close_old_connections, transaction
from django.db.models import Sum

from chatapp.models import UsageAccount
from chatapp.protocol.words import Measure
from chatapp.quotas import accounts
from chatapp.quotas.measures import Amount, Standing, day_of, month_of
from tests.counting import counted
from tests.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
HOUR, DAY = 3600, 86_400


def of(standings: dict[str, Standing], name: str = "user:1") -> Standing:
    return standings[name]


def test_a_person_and_everybody_are_counted_in_one_statement() -> None:
    with counted() as counts:
        standings = accounts.post(1, Amount(messages=1, replies=1, units=5), now=NOON)

    assert len(counts.statements) == 1
    assert set(standings) == {"all", "user:1"}
    assert of(standings) == of(standings, "all")
    assert of(standings) == Standing(
        minute_began_at=NOON,
        minute_messages=1,
        day=day_of(NOON),
        day_messages=1,
        day_units=5,
        month=month_of(NOON),
        month_units=5,
        running=1,
    )


def test_only_the_groups_that_the_person_is_in_are_counted() -> None:
    person = make_user()
    mine, other = Group.objects.create(name="mine"), Group.objects.create(name="other")
    person.groups.add(mine)

    standings = accounts.post(person.pk, Amount(messages=1), now=NOON, groups=[mine.pk, other.pk])

    assert set(standings) == {"all", f"user:{person.pk}", f"group:{mine.pk}"}


def test_a_minute_begins_with_the_first_message_after_the_one_before() -> None:
    counts = [
        of(accounts.post(1, Amount(messages=1), now=NOON + seconds)).minute_messages for seconds in (0, 30, 59, 60, 119)
    ]

    assert counts == [1, 2, 3, 1, 2]


def test_a_day_and_a_month_begin_at_midnight_utc() -> None:
    accounts.post(1, Amount(messages=3, units=7), now=NOON)

    next_day = of(accounts.post(1, Amount(messages=1, units=2), now=NOON + DAY))

    assert (next_day.day_messages, next_day.day_units) == (1, 2)
    assert next_day.month_units == 2, "the first of December is another month"


def test_what_is_given_back_after_midnight_is_not_taken_from_the_new_day() -> None:
    accounts.post(1, Amount(messages=1, replies=1, units=10), now=NOON)
    accounts.post(1, Amount(messages=1, replies=1, units=10), now=NOON + DAY)

    settled = of(accounts.post(1, Amount(replies=-1, units=-8), now=NOON))

    assert (settled.day_units, settled.running) == (10, 1)


def test_an_account_is_counted_for_the_moment_at_which_it_is_asked() -> None:
    standing = of(accounts.post(1, Amount(messages=4, units=10**8), now=NOON))

    assert standing.used(Measure.MESSAGES_PER_MINUTE, NOON + 61) == 0
    assert standing.used(Measure.MESSAGES_PER_DAY, NOON + HOUR) == 4
    assert standing.used(Measure.USD_PER_DAY, NOON + DAY) == 0
    assert standing.until(Measure.USD_PER_MONTH, NOON) == datetime(2026, 12, 1, tzinfo=UTC)


def test_running_replies_are_never_less_than_none() -> None:
    accounts.post(1, Amount(), now=NOON)

    assert of(accounts.post(1, Amount(replies=-1), now=NOON)).running == 0


def test_many_at_once_lose_nothing_and_never_wait_for_each_other_for_ever() -> None:
    people = [make_user() for _ in range(4)]
    groups = [Group.objects.create(name=f"group {number}") for number in range(3)]
    for person in people:
        person.groups.set(groups)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        order = [group.pk for group in groups][:: 1 if number % 2 else -1]
        try:
            for _ in range(10):
                with transaction.atomic():
                    accounts.post(people[number % 4].pk, Amount(messages=1, replies=1), now=NOON, groups=order)
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)
        finally:
            close_old_connections()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    of_groups = UsageAccount.objects.filter(name__startswith="group").values_list("day_messages", flat=True)
    assert [*of_groups, accounts.read(["all"])["all"].day_messages] == [80] * 4
    of_people = UsageAccount.objects.filter(name__startswith="user").aggregate(sum=Sum("running"))
    assert of_people == {"sum": 80}


def test_replies_whose_process_and_rows_are_gone_are_forgotten_after_the_longest_reply() -> None:
    accounts.post(1, Amount(replies=1), now=NOON)
    accounts.post(2, Amount(replies=1), now=NOON + HOUR)

    assert accounts.forget_lost_replies(before=NOON + 1) == 1

    assert {name: s.running for name, s in accounts.read(["user:1", "user:2", "all"]).items()} == {
        "user:1": 0,
        "user:2": 1,
        "all": 2,
    }
