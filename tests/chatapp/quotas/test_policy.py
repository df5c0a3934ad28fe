"""Whose limits apply to whom."""

from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError

from chatapp.models import UsageLimit
from chatapp.quotas import policy
from chatapp.quotas.measures import Allowance
from chatapp.quotas.policy import LimitWatch, policy_of
from tests.factories import make_user

pytestmark = pytest.mark.django_db
KINDS = UsageLimit.AppliesTo


def limit(kind: str, **fields: object) -> UsageLimit:
    row = UsageLimit(applies_to=kind, **fields)
    row.full_clean()
    row.save()
    return row


def test_without_rows_the_settings_apply(settings) -> None:
    settings.USAGE_LIMITS = {"each_person": {"messages_per_day": 7, "usd_per_day": "1.5"}}

    found = policy_of([])

    assert found.for_person(1, []) == Allowance(messages_per_day=7, usd_per_day=Decimal("1.5"))
    assert found.all_together == Allowance()


def test_the_most_special_limit_that_is_set_wins_each_by_itself(settings) -> None:
    settings.USAGE_LIMITS = {"each_person": {"messages_per_minute": 1, "messages_per_day": 1, "running_replies": 1}}
    person, gold, silver = make_user(), Group.objects.create(name="gold"), Group.objects.create(name="silver")
    rows = [
        limit(KINDS.EACH_PERSON, messages_per_day=2),
        limit(KINDS.EACH_MEMBER, group=silver, messages_per_day=30, usd_per_day=Decimal(3)),
        limit(KINDS.EACH_MEMBER, group=gold, messages_per_day=20, usd_per_day=Decimal(4)),
        limit(KINDS.ONE_PERSON, user=person, usd_per_day=Decimal(9)),
    ]

    found = policy_of(rows)

    assert found.for_person(person.pk, [gold.pk, silver.pk]) == Allowance(
        messages_per_minute=1, messages_per_day=30, running_replies=1, usd_per_day=Decimal(9)
    )
    assert found.for_person(0, [gold.pk]).usd_per_day == 4
    assert found.for_person(0, []).messages_per_day == 2
    assert found.limited_groups == sorted([gold.pk, silver.pk])


@pytest.mark.parametrize("kind", [KINDS.ONE_PERSON, KINDS.EACH_MEMBER, KINDS.GROUP_TOGETHER])
def test_a_limit_says_for_whom_it_is(kind: str) -> None:
    with pytest.raises(ValidationError, match="Say which"):
        limit(kind, messages_per_day=1)


def test_there_is_one_row_for_each() -> None:
    limit(KINDS.EACH_PERSON, messages_per_day=1)

    with pytest.raises(ValidationError, match="change those"):
        limit(KINDS.EACH_PERSON, messages_per_day=2)


def test_whoever_asks_reads_where_no_watch_does(monkeypatch) -> None:
    watch = LimitWatch()
    limit(KINDS.EACH_PERSON, messages_per_day=5)
    assert watch.current().each_person.messages_per_day == 5
    UsageLimit.objects.update(messages_per_day=6)
    assert watch.current().each_person.messages_per_day == 5, "read a moment ago"

    monkeypatch.setattr(policy, "REFRESH_SECONDS", -1.0)

    assert watch.current().each_person.messages_per_day == 6
