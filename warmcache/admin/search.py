"""Searches and filters of the ledger's lists: exact, and by an index, however many rows there are."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from warmcache.admin import host
from warmcache.core.moments import at
from warmcache.core.outcomes import RequestStatus, RequestWarmth
from warmcache.core.upstreams import Upstream
from warmcache.models import RollUp
from warmcache.reports.period import seconds_of
from warmcache.runtime.wiring import SystemClock

HELP = _("Exactly: a person's name, a conversation, a request id, a prefix hash, or the id of a row.")
PERIODS: dict[str, Any] = {"1h": _("the last hour"), "24h": _("24 hours"), "7d": _("7 days"), "30d": _("30 days")}


def exact_search(rows: QuerySet[Any], term: str) -> QuerySet[Any]:
    """Every column that is compared has an index."""
    word = term.strip()[:80]
    if not word or "\0" in word:
        return rows.none() if word else rows
    wanted = Q(request_id=word) | Q(prefix_hash=word) | Q(place=word) | Q(subject=word)
    known = host.registered()
    people = list(known.subjects_named(word)) if known is not None else []
    if people:
        wanted |= Q(subject__in=people)
    row_id = _uuid(word)
    if row_id is not None:
        wanted |= Q(pk=row_id) | Q(place=f"conversation {row_id}") | Q(place=str(row_id))
    return rows.filter(wanted)


def _uuid(word: str) -> UUID | None:
    try:
        return UUID(word)
    except ValueError:
        return None


class WordFilter(SimpleListFilter):
    """The words that the roll-ups know: reading them from the rows would read all of them."""

    parameter_name: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        name = self.parameter_name
        words = set(RollUp.objects.exclude(**{name: ""}).order_by(name).values_list(name, flat=True).distinct())
        chosen = request.GET.get(name)
        return [(word, word) for word in sorted({*words, *([chosen] if chosen else [])})]

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset if value is None else queryset.filter(**{self.parameter_name: value})


class LabelFilter(WordFilter):
    title = _("assistant")
    parameter_name = "label"


class ModelFilter(WordFilter):
    title = _("model")
    parameter_name = "model"


class UpstreamFilter(WordFilter):
    title = _("answered by")
    parameter_name = "upstream"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(upstream), gettext(upstream.words)) for upstream in Upstream]


class WarmthFilter(WordFilter):
    title = _("found it")
    parameter_name = "warmth"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(warmth), gettext(warmth.words)) for warmth in RequestWarmth]


class StatusFilter(WordFilter):
    title = _("ended")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(status), gettext(status.words)) for status in RequestStatus]


class PeriodFilter(SimpleListFilter):
    title = _("period")
    parameter_name = "since"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterator[tuple[str, str]]:
        chosen = request.GET.get(self.parameter_name)
        own = {chosen: chosen} if chosen and chosen not in PERIODS else {}
        yield from {**PERIODS, **own}.items()

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        return queryset if value is None else in_period(queryset, value)


def in_period(rows: QuerySet[Any], since: str) -> QuerySet[Any]:
    """The rows of the last `since`, such as 7d; none if that is no period."""
    try:
        length = timedelta(seconds=seconds_of(since))
    except ValueError:
        return rows.none()
    return rows.filter(started_at__gte=at(SystemClock().now()) - length)
