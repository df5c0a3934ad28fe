"""The ledger in Django's admin: read-only, with costs and results. No content of a prompt is stored."""

from decimal import Decimal
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import build_q_object_from_lookup_parameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Model, Q, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import slugify
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from warmcache.addresses import without_nul
from warmcache.admin import host, stories
from warmcache.admin.console import ConsolePages
from warmcache.admin.exports import KINDS, Kind, rows_as, streamed
from warmcache.admin.host import ShownMessage
from warmcache.admin.search import (
    HELP,
    LabelFilter,
    ModelFilter,
    PeriodFilter,
    StatusFilter,
    UpstreamFilter,
    WarmthFilter,
    exact_search,
    in_period,
)
from warmcache.admin.words import dollars, moment, seconds, table
from warmcache.core.moments import at
from warmcache.core.outcomes import Purpose
from warmcache.ledger import rows
from warmcache.models import Intent, LostWrites, Outcome, SkipCount, UsageRecord, WarmUp, WarmUpLine
from warmcache.runtime.wiring import SystemClock

MAX_SHOWN_REQUESTS = 50
SHARED_FILTERS = ("label", "model", "upstream", "started_at")
"""Columns that a warm-up and a real request have in common."""
MOST_ADDED_UP = 20_000
"""A list with more rows has no totals: the dashboard has them, from roll-ups."""

LINE_HEADINGS = (
    *(_("layer"), _("tokens up to its end"), _("lives"), _("written"), _("read"), _("cost"), _("ended as")),
    *(_("credited"), _("settled by")),
)

SHOWN = '<a href="{}">{}</a>'
DECIDED_OTHERWISE: dict[str, Any] = {
    Intent.TURN_FINISHED: _("weighed again by when people come back after a reply"),
    Intent.KEEP: _("weighed again by what it costs to hold a layer that everybody shares"),
    Intent.MANUAL: _("asked for by hand"),
}
"""The intents of `WEIGHED_ELSEWHERE`: their net value may be negative here although the warm-up was right."""


class FilteredRows(ChangeList):
    """The rows that a list's filters and its search leave, without counting them."""

    def get_results(self, request: HttpRequest) -> None:
        self.result_list = self.queryset.none()
        self.result_count = self.full_result_count = 0


class LedgerAdmin(ConsolePages):
    """Rows that people can read but never write."""

    actions = None
    list_per_page = 50
    show_full_result_count = False
    moment_column = "started_at"

    def get_urls(self) -> list[URLPattern]:
        """The list as a file: the same rows for the same filters."""
        view, name = self.admin_site.admin_view(self.export), f"warmcache_{self.opts.model_name}_export"
        return [
            *(path(f"export.{kind}", view, {"kind": kind}, f"{name}_{kind}") for kind in KINDS),
            *super().get_urls(),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        found = request.resolver_match
        return FilteredRows if found and "kind" in found.kwargs else super().get_changelist(request, **kwargs)

    def export(self, request: HttpRequest, kind: Kind) -> HttpResponseBase:
        """All rows that the list shows under these filters, on all of its pages."""
        request.GET = without_nul(request.GET)  # type: ignore[assignment]
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            found = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            messages.error(request, gettext("This is no filter of this list: nothing was exported."))
            return HttpResponseRedirect(reverse(f"admin:warmcache_{self.opts.model_name}_changelist"))
        now = SystemClock().now()
        rows.sweep(now)
        name = f"{slugify(str(self.opts.verbose_name_plural))}-{at(now):%Y-%m-%d}"
        return streamed(request, rows_as(kind, found, by=self.moment_column), kind=kind, name=name)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Refuses patterns in the address: one that the database cannot read would be our error."""
        return not lookup.endswith("regex") and super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Settles expired lines first, so that no row waits for a request that can no longer come."""
        rows.sweep(SystemClock().now())
        return super().changelist_view(request, {**(extra_context or {}), "exports": list(KINDS)})


class RequestAdmin(LedgerAdmin):
    """What the admins of warm-ups and of real requests have in common."""

    search_fields = ("request_id",)
    search_help_text = HELP

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        return exact_search(queryset, search_term), False

    @admin.display(description=_("whom"), ordering="subject")
    def whom(self, row: WarmUp | UsageRecord) -> str:
        """The person's name, where the host knows it."""
        known = host.registered()
        return (known.name_of(row.subject) if known and row.subject else None) or row.subject or "-"

    @admin.display(description=_("when"), ordering="started_at")
    def when(self, row: WarmUp | UsageRecord) -> str:
        return moment(row.started_at)

    @admin.display(description=_("prefix"), ordering="prefix_tokens")
    def prefix(self, row: WarmUp | UsageRecord) -> str:
        return f"{row.prefix_tokens:,}"

    @admin.display(description=_("read"), ordering="cache_read_tokens")
    def read(self, row: WarmUp | UsageRecord) -> str:
        return f"{row.cache_read_tokens:,}"

    @admin.display(description=_("written"), ordering="cache_write_tokens")
    def written(self, row: WarmUp | UsageRecord) -> str:
        return f"{row.cache_write_tokens:,}"

    @admin.display(description=_("cost"), ordering="cost_usd")
    def cost(self, row: WarmUp | UsageRecord) -> str:
        return dollars(row.cost_usd)

    @admin.display(description=_("as the policy believed it"))
    def weighed(self, row: WarmUp | UsageRecord) -> SafeString | str:
        cells = [
            (name.replace("_", " "), "-" if value is None else value) for name, value in sorted(row.numbers.items())
        ]
        return table((_("number"), _("value")), cells) if cells else gettext("nothing was weighed")

    @admin.display(description=_("duration"), ordering="duration_ms")
    def duration(self, row: WarmUp | UsageRecord) -> str:
        return seconds(row.duration_ms)


@admin.register(WarmUp)
class WarmUpAdmin(RequestAdmin):
    list_display = (
        *("when", "outcome_word", "intent", "label", "cost", "written", "read", "duration"),
        *("reason", "prefix", "expires", "model", "upstream"),
    )
    list_filter = ("outcome", "intent", LabelFilter, ModelFilter, UpstreamFilter, PeriodFilter)
    fieldsets = (
        (None, {"fields": ("when", "intent", "reason", "label", "whom", "place", "model", "upstream")}),
        (_("What happened"), {"fields": ("story",)}),
        (
            _("How it ended"),
            {"fields": ("outcome_word", "error_code", "settled", "waited", "expires", "requests_table")},
        ),
        (_("What was warmed, layer by layer"), {"fields": ("prefix", "lines_table", "prefix_hash")}),
        (_("What was weighed"), {"fields": ("weighed",)}),
        (
            _("What it cost"),
            {
                "fields": (
                    "cost",
                    "price_version",
                    "duration",
                    "input_tokens",
                    "read",
                    "written",
                    "cache_write_1h_tokens",
                )
            },
        ),
        (_("At the provider"), {"fields": ("request_id", "response_id")}),
    )

    @admin.display(description=_("as the policy believed it"))
    def weighed(self, row: WarmUp | UsageRecord) -> SafeString | str:
        numbers, otherwise = super().weighed(row), DECIDED_OTHERWISE.get(row.intent)
        if otherwise is None or not row.numbers:
            return numbers
        told = gettext("These did not decide: this warm-up was %(how)s.") % {"how": otherwise}
        return format_html("{}<p>{}</p>", numbers, told)

    @admin.display(description=_("in order"))
    def story(self, row: WarmUp) -> SafeString:
        return stories.story_of(row, list(row.requests.order_by("started_at")[:3]))

    @admin.display(description=_("outcome"), ordering="outcome")
    def outcome_word(self, row: WarmUp) -> str:
        return outcome_word(row.outcome)

    @admin.display(description=_("settled"), ordering="settled_at")
    def settled(self, row: WarmUp) -> str:
        return moment(row.settled_at) if row.settled_at else "-"

    @admin.display(description=_("expires"), ordering="estimated_expires_at")
    def expires(self, row: WarmUp) -> str:
        return moment(row.estimated_expires_at) if row.estimated_expires_at else "-"

    @admin.display(description=_("held a request up for"))
    def waited(self, row: WarmUp) -> str:
        return seconds(row.waited_ms) if row.waited_ms else "-"

    @admin.display(description=_("lines"))
    def lines_table(self, row: WarmUp) -> SafeString:
        cells = [
            (
                line.layer,
                f"{line.prefix_tokens:,}",
                f"{line.ttl_seconds // 60} min",
                f"{line.written_tokens:,}",
                f"{line.read_tokens:,}",
                dollars(line.cost_usd),
                outcome_word(line.outcome),
                f"{line.credited_tokens:,}",
                _request_link(line),
            )
            for line in row.lines.select_related("request")
        ]
        return table(LINE_HEADINGS, cells)

    @admin.display(description=_("requests that met it"))
    def requests_table(self, row: WarmUp) -> SafeString | str:
        found = list(row.requests.order_by("started_at")[: MAX_SHOWN_REQUESTS + 1])
        if not found:
            return gettext("none")
        cells = [
            (
                format_html('<a href="{}">{}</a>', detail_url(usage), f"{usage.started_at:%Y-%m-%d %H:%M:%S}"),
                usage.warmth,
                usage.status,
                f"{usage.cache_read_tokens:,}",
                dollars(usage.cost_usd),
                seconds(usage.ttft_ms),
            )
            for usage in found[:MAX_SHOWN_REQUESTS]
        ]
        more = (
            format_html("<p>{}</p>", gettext("The first %(count)d are shown.") % {"count": MAX_SHOWN_REQUESTS})
            if found[MAX_SHOWN_REQUESTS:]
            else ""
        )
        shown = table((_("when"), _("found it"), _("ended"), _("read"), _("cost"), _("first text after")), cells)
        return format_html("{}{}", shown, more)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Adds the totals of the filtered rows."""
        response = super().changelist_view(request, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data and "cl" in response.context_data:
            changelist = response.context_data["cl"]
            if changelist.result_count <= MOST_ADDED_UP:
                response.context_data["totals"] = totals(changelist)
        return response


@admin.register(UsageRecord)
class UsageRecordAdmin(RequestAdmin):
    list_display = (
        *("when", "warmth", "ttft", "purpose", "label", "status", "cost", "read", "written"),
        *("input_tokens", "output_tokens", "prefix", "duration", "met", "model", "upstream"),
    )
    list_filter = ("purpose", LabelFilter, ModelFilter, UpstreamFilter, WarmthFilter, StatusFilter, PeriodFilter)
    fieldsets = (
        (None, {"fields": ("when", "purpose", "label", "whom", "place", "message", "model", "upstream")}),
        (_("Why it was, or was not, warmed"), {"fields": ("why",)}),
        (_("Why it took that long"), {"fields": ("wait",)}),
        (_("How it ended"), {"fields": ("status", "error_code", "warmth", "met", "ttft", "waited", "duration")}),
        (
            _("What it cost"),
            {
                "fields": (
                    *("cost", "price_version", "prefix", "input_tokens", "read", "written"),
                    *("cache_write_1h_tokens", "output_tokens", "web_searches", "web_fetches"),
                )
            },
        ),
        (_("In the experiment"), {"fields": ("arm", "intent", "lead", "weighed")}),
        (_("At the provider"), {"fields": ("request_id", "response_id", "miss_reason", "prefix_hash")}),
    )

    @admin.display(description=_("the visit's last decision"))
    def why(self, row: UsageRecord) -> str:
        return stories.why_of(row)

    @admin.display(description=_("until the first text"))
    def wait(self, row: UsageRecord) -> SafeString | str:
        return stories.bar_of(stories.legs_of(row, _message_of(row)))

    @admin.display(description=_("message"))
    def message(self, row: UsageRecord) -> SafeString | str:
        found = _message_of(row)
        return "-" if found is None else format_html(SHOWN, found.url, gettext("shown"))

    @admin.display(description=_("held up for a warm-up"))
    def waited(self, row: UsageRecord) -> str:
        return seconds(row.waited_ms) if row.waited_ms else "-"

    @admin.display(description=_("came after that intent by"))
    def lead(self, row: UsageRecord) -> str:
        return seconds(row.lead_ms)

    @admin.display(description=_("first text after"), ordering="ttft_ms")
    def ttft(self, row: UsageRecord) -> str:
        return seconds(row.ttft_ms)

    @admin.display(description=_("warm-up"))
    def met(self, row: UsageRecord) -> SafeString | str:
        if row.warm_up_id is None:
            return "-"
        return format_html(SHOWN, reverse("admin:warmcache_warmup_change", args=[row.warm_up_id]), gettext("shown"))


@admin.register(SkipCount)
class SkipCountAdmin(LedgerAdmin):
    moment_column = "minute"
    list_display = ("minute", "label", "intent", "reason", "count")
    list_filter = ("reason", "intent", "label", "minute")
    search_fields = ("label", "reason")
    date_hierarchy = "minute"
    fields = ("minute", "label", "intent", "reason", "count")


@admin.register(LostWrites)
class LostWritesAdmin(LedgerAdmin):
    moment_column = "minute"
    list_display = ("minute", "count")
    date_hierarchy = "minute"
    fields = ("minute", "count")


def _message_of(row: UsageRecord) -> ShownMessage | None:
    known = host.registered()
    return known.message_of(row.place, row.request_id) if known and row.request_id else None


def totals(changelist: ChangeList) -> dict[str, Any]:
    """Totals of the filtered warm-ups, and of the replies with the same label, model, upstream and period."""
    used, unused = (Outcome.HIT, Outcome.JOINED), (Outcome.UNUSED, Outcome.EVICTED, Outcome.DIVERGED)
    found = changelist.queryset.order_by().aggregate(
        count=Count("pk"),
        cost_usd=Sum("cost_usd"),
        used=Count("pk", filter=Q(outcome__in=used)),
        raced=Count("pk", filter=Q(outcome=Outcome.RACED)),
        unused=Count("pk", filter=Q(outcome__in=unused)),
        broken=Count("pk", filter=Q(outcome__in=(Outcome.FAILED, Outcome.CANCELLED))),
        waiting=Count("pk", filter=Q(outcome=Outcome.PENDING)),
    )
    replies = 0 if changelist.query else _replies_beside(changelist).count()
    return {
        **found,
        "cost": dollars(found["cost_usd"] or Decimal(0)),
        "replies": replies,
        "per_reply": f"{found['count'] / replies:.2f}" if replies else None,
    }


def _replies_beside(changelist: ChangeList) -> QuerySet[UsageRecord]:
    """Replies, as the dashboard counts them: nothing is warmed for a title."""
    params = changelist.get_filters_params()
    shared = {name: value for name, value in params.items() if name.split("__")[0] in SHARED_FILTERS}
    replies = UsageRecord.objects.filter(build_q_object_from_lookup_parameters(shared), purpose=Purpose.REPLY)
    since = params.get(PeriodFilter.parameter_name)
    return in_period(replies, since[-1]) if since else replies


def outcome_word(stored: str) -> str:
    return stored or Outcome.PENDING.words


def _request_link(line: WarmUpLine) -> SafeString | str:
    if line.request is None:
        return "-"
    return format_html('<a href="{}">{}</a>', detail_url(line.request), f"{line.request.started_at:%Y-%m-%d %H:%M:%S}")


def detail_url(row: UsageRecord) -> str:
    return reverse("admin:warmcache_usagerecord_change", args=[row.pk])
