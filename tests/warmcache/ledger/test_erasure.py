"""A person is taken out of the ledger; what everything cost stays."""

from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest
from django.core.management import CommandError, call_command

from tests.warmcache.ledger.random_ledger import fill
from tests.warmcache.ledger.test_rollups import NOW, reply, report
from warmcache.ledger import rollups
from warmcache.ledger.erasure import ERASED, erase_some, erase_subject
from warmcache.models import UsageRecord, WarmUp
from warmcache.upstream.prices import rates_for

pytestmark = pytest.mark.django_db


def test_no_row_names_the_person_or_the_place_and_every_sum_stays():
    fill(Random(7), rows=60, until=NOW, days=38)
    of_ann = list(WarmUp.objects.values_list("pk", flat=True)[:9]), [reply(NOW - timedelta(hours=5)).pk]
    WarmUp.objects.filter(pk__in=of_ann[0]).update(subject="user 7", place="conversation 1")
    UsageRecord.objects.filter(pk__in=of_ann[1]).update(subject="user 7", place="conversation 1")
    reply(NOW - timedelta(hours=6), subject="user 70", place="conversation 2")
    rollups.prune(NOW.timestamp(), rates_for, keep_days=10)
    before, left = report(), WarmUp.objects.filter(subject="user 7").count() + 1

    erased = erase_subject("user 7")

    assert erased == left
    for model in (WarmUp, UsageRecord):
        assert not model.objects.filter(subject="user 7").exists()
        assert not model.objects.filter(place="conversation 1").exists()
    assert UsageRecord.objects.get(subject="user 70").place == "conversation 2"
    assert report() == before


def test_a_step_changes_no_more_rows_than_it_may():
    for minutes in range(5):
        reply(NOW - timedelta(minutes=minutes), subject="user 7")

    steps = [erase_some("user 7", rows_at_once=2) for _ in range(4)]

    assert steps == [2, 2, 1, 0]
    assert UsageRecord.objects.filter(subject=ERASED, cost_usd=Decimal("0.003")).count() == 5


def test_the_command_does_not_print_whom_it_erased(capsys):
    reply(NOW, subject="ann@example.org")

    call_command("warmcache_erase", "ann@example.org")

    printed = capsys.readouterr().out
    assert "1 rows" in printed
    assert "ann" not in printed


def test_rows_that_name_nobody_are_no_person_to_erase():
    reply(NOW, subject="")

    with pytest.raises(CommandError):
        call_command("warmcache_erase", "")

    assert UsageRecord.objects.get().subject == ""
