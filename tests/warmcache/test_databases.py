"""Where rows are and how moments are kept there: routers, and projects without time zones."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from warmcache import checks
from warmcache.models import LostWrites

BEFORE_CLOCKS_GO_BACK = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
"""02:30 in Berlin, as it is an hour later again."""


@pytest.fixture
def local_time(settings: Any) -> None:
    settings.USE_TZ = False
    settings.TIME_ZONE = "Europe/Berlin"


@pytest.mark.django_db
def test_without_time_zones_no_hour_is_lost_when_the_clocks_go_back(local_time: None) -> None:
    moments = [BEFORE_CLOCKS_GO_BACK + timedelta(minutes=30 * number) for number in range(5)]
    LostWrites.objects.bulk_create(LostWrites(minute=moment) for moment in moments)

    assert list(LostWrites.objects.order_by("minute").values_list("minute", flat=True)) == moments
    assert LostWrites.objects.filter(minute__gt=moments[0], minute__lte=moments[3]).count() == 3


@pytest.mark.django_db
def test_without_time_zones_the_admins_own_days_are_local(local_time: None) -> None:
    LostWrites.objects.create(minute=datetime(2026, 6, 30, 22, 30, tzinfo=UTC))

    assert LostWrites.objects.filter(minute__gte=datetime(2026, 7, 1)).exists()
    assert not LostWrites.objects.filter(minute__gte=datetime(2026, 7, 1, 1)).exists()


class Split:
    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "policies" if model.__name__ == "WarmPolicy" else "default"


def test_a_database_that_cannot_run_the_ledgers_statements_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(connections["default"]), "vendor", "mysql")
    monkeypatch.setattr(type(connections["default"]), "display_name", "MySQL")

    [problem] = checks.check_routers()

    assert problem.id == "warmcache.E005"
    assert "cannot keep its ledger in MySQL" in problem.msg


def test_a_router_that_splits_the_ledger_is_found(settings: Any) -> None:
    assert checks.check_routers() == []

    settings.DATABASE_ROUTERS = [Split()]

    [problem] = checks.check_routers()
    assert problem.id == "warmcache.E003"
    assert "default, policies" in problem.msg
