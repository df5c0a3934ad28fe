"""The operator's first page: is warming on and healthy, what did everything cost, what did warming buy."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from warmcache.addresses import without_nul
from warmcache.admin.console import MAY_SWITCH, THE_ROW, ConsolePages, bar
from warmcache.admin.exports import KINDS, Kind, figures_as, streamed
from warmcache.admin.numbers import MEANINGS, NOTES
from warmcache.admin.plots import plots_of
from warmcache.admin.words import dollars, interval, seconds, share
from warmcache.conf import Config, get_config
from warmcache.core.intents import Intent
from warmcache.core.moments import at
from warmcache.core.outcomes import RequestWarmth
from warmcache.core.reasons import Reason
from warmcache.core.upstreams import Upstream
from warmcache.models import Dashboard, RollUp, WarmPolicy
from warmcache.operator_policy import policy_in_force, read_row
from warmcache.reports.evidence import Evidence, read_evidence
from warmcache.reports.figures import Report, Skips, report_of, waits_by_warmth
from warmcache.reports.period import DEFAULT_PERIOD, seconds_of
from warmcache.reports.state import read_state
from warmcache.reports.text import as_json
from warmcache.reports.totals import Totals
from warmcache.reports.waste import Waste, waste_of
from warmcache.runtime.wiring import SystemClock
from warmcache.upstream.prices import price_list

PERIODS = {"24h": _("24 hours"), "7d": _("7 days"), "30d": _("30 days"), "90d": _("90 days")}
MOST_SKIPS = 15
MOST_WASTE = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What the page shows. `upstream`: figures of a simulator are never added to real ones."""

    since: str
    label: str | None
    upstream: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    name: str
    amount: str
    before: str
    """Beside the period before."""
    note: str = ""


@admin.register(Dashboard)
class DashboardAdmin(ConsolePages):
    """One page in place of a list."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may see warm-ups may see their sums."""
        return request.user.has_perm("warmcache.view_warmup")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def get_urls(self) -> list[URLPattern]:
        """The page itself, what its figures mean, and the switch of every page."""
        view = self.admin_site.admin_view
        return [
            path("", view(self.page), name="warmcache_dashboard_changelist"),
            *(path(f"export.{kind}", view(self.export), {"kind": kind}, f"warmcache_figures_{kind}") for kind in KINDS),
            path("numbers/", view(self.numbers), name="warmcache_numbers"),
            path("switch/", view(require_POST(self.switch)), name="warmcache_switch"),
        ]

    def page(self, request: HttpRequest) -> HttpResponse:
        """Reads the roll-ups of the period, and the newest rows."""
        request.GET = without_nul(request.GET)  # type: ignore[assignment]
        if not self.has_view_permission(request):
            raise PermissionDenied
        now, config = SystemClock().now(), get_config()
        policy = policy_in_force(config, read_row())
        chosen = _chosen(request, config)
        evidence = _evidence(chosen, now, config)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Dashboard"),
            "opts": self.opts,
            "warming": bar(request),
            "state": (state := read_state(now, config, policy)),
            "why_off": gettext(state.why_off),
            "is_simulated": chosen.upstream == Upstream.SIMULATOR,
            "uplot": config.uplot,
            **_choices(chosen),
            **_figures(evidence, chosen, policy.value_of_second_usd),
        }
        return TemplateResponse(request, "admin/warmcache/dashboard.html", context)

    def export(self, request: HttpRequest, kind: Kind) -> HttpResponseBase:
        """The figures of the page as a file, of every upstream: what `warmcache_report --json` prints."""
        request.GET = without_nul(request.GET)  # type: ignore[assignment]
        if not self.has_view_permission(request):
            raise PermissionDenied
        now, config = SystemClock().now(), get_config()
        chosen = _chosen(request, config)
        price = policy_in_force(config, read_row()).value_of_second_usd
        figures = as_json(report_of(_evidence(chosen, now, config)), price_of_second_usd=price)
        name = f"warming-{chosen.since}-{at(now):%Y-%m-%d}"
        return streamed(request, figures_as(kind, figures), kind=kind, name=name)

    def numbers(self, request: HttpRequest) -> HttpResponse:
        """How to read the figures: the text of `docs/console.md`."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("How to read the numbers"),
            "opts": self.opts,
            "warming": bar(request),
            "meanings": [tuple(map(gettext, row)) for row in MEANINGS],
            "notes": [tuple(map(gettext, row)) for row in NOTES],
        }
        return TemplateResponse(request, "admin/warmcache/numbers.html", context)

    def switch(self, request: HttpRequest) -> HttpResponse:
        """Switches all warming off, or on again; in force in every process within two seconds."""
        if not request.user.has_perm(MAY_SWITCH):
            raise PermissionDenied
        is_on = request.POST.get("on") == "1"
        row = WarmPolicy.objects.get_or_create(pk=getattr(read_row(), "pk", THE_ROW))[0]
        row.is_enabled = is_on
        row.save(update_fields=("is_enabled", "updated_at"))
        # The log is one for all readers, in English.
        self.log_change(request, row, "Switched warming on." if is_on else "Switched warming off.")
        told = (
            gettext("Warming is switched on, in every process within two seconds.")
            if is_on
            else gettext("Warming is switched off, in every process within two seconds.")
        )
        messages.success(request, told)
        back = request.POST.get("next", "")
        is_safe = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
        return HttpResponseRedirect(back if is_safe else reverse("admin:warmcache_dashboard_changelist"))


def _chosen(request: HttpRequest, config: Config) -> Chosen:
    since = request.GET.get("since", DEFAULT_PERIOD)
    try:
        seconds_of(since)
    except ValueError as error:
        messages.error(request, gettext("%(error)s This is %(period)s.") % {"error": error, "period": DEFAULT_PERIOD})
        since = DEFAULT_PERIOD
    upstream = request.GET.get("upstream", "")
    known = upstream in list(Upstream)
    return Chosen(
        since=since,
        label=request.GET.get("label") or None,
        upstream=upstream if known else config.upstream,
    )


def _evidence(chosen: Chosen, now: float, config: Config) -> Evidence:
    return read_evidence(
        now=now,
        period_seconds=seconds_of(chosen.since),
        label=chosen.label,
        rates=price_list(config),
        is_patient=False,
    )


def _choices(chosen: Chosen) -> dict[str, Any]:
    labels = RollUp.objects.exclude(label="").order_by("label").values_list("label", flat=True).distinct()
    return {
        "chosen": chosen,
        "exports": {kind: reverse(f"admin:warmcache_figures_{kind}") for kind in KINDS},
        "periods": PERIODS if chosen.since in PERIODS else {**PERIODS, chosen.since: chosen.since},
        "labels": sorted({*labels, *([chosen.label] if chosen.label else [])}),
        "upstreams": {str(upstream): gettext(upstream.words) for upstream in Upstream},
    }


def _figures(evidence: Evidence, chosen: Chosen, price_usd: Decimal) -> dict[str, Any]:
    report = report_of(evidence)
    now, before = (_of(totals, chosen.upstream) for totals in (report.totals, report.before))
    skips, waste = report.skips, [row for row in waste_of(report.spending) if row.upstream == chosen.upstream]
    others = [name for name in report.upstreams if name != chosen.upstream]
    return {
        "report": report,
        "totals": now,
        "others": {name: gettext(Upstream(name).words) if name in list(Upstream) else name for name in others},
        "cards": _cards(now, before) if now else [],
        "gain": _gain(report, chosen.upstream, price_usd),
        "waits": [
            (_warmth(row.warmth), row.count, seconds(row.p50_ms), seconds(row.p95_ms))
            for row in waits_by_warmth(evidence)
            if row.upstream == chosen.upstream
        ],
        "plots": plots_of(report, chosen.upstream, evidence.step),
        "skips": [
            (_reason(row.reason), _intent(row.intent), row.label or "-", row.count) for row in skips[:MOST_SKIPS]
        ],
        "more_skips": sum(row.count for row in skips[MOST_SKIPS:]),
        "waste": [_wasted(row) for row in waste[:MOST_WASTE]],
        "more_waste": len(waste[MOST_WASTE:]),
    }


def _of(totals: list[Totals], upstream: str) -> Totals | None:
    return next((row for row in totals if row.upstream == upstream), None)


def _cards(now: Totals, before: Totals | None) -> list[Card]:
    others = ""
    if now.others_usd:
        others = gettext("%(usd)s of it for titles and compactions") % {"usd": dollars(now.others_usd)}
    unpriced = ""
    if now.unpriced:
        unpriced = gettext("%(count)s of models without a known price are not in it") % {"count": f"{now.unpriced:,}"}
    tokens = gettext("%(read)s of %(all)s prompt tokens") % {
        "read": f"{now.read_tokens:,}",
        "all": f"{now.prompt_tokens:,}",
    }
    replies = gettext("%(count)s replies, %(failed)s failed") % {
        "count": f"{now.replies:,}",
        "failed": f"{now.failed:,}",
    }
    sent = gettext("of %(count)s warm-ups") % {"count": f"{now.warm_ups:,}"}
    waiting = gettext("%(usd)s not known yet") % {"usd": dollars(now.waiting_usd)}
    return [
        _money(gettext("In all"), now, before, "total_usd", "; ".join(filter(None, (others, unpriced)))),
        _money(gettext("Replies"), now, before, "replies_usd", replies),
        _money(gettext("Warm-ups that were used"), now, before, "used_usd", sent),
        _money(gettext("Warm-ups that were wasted"), now, before, "wasted_usd", waiting),
        Card(
            name=gettext("Read from the cache"),
            amount=share(now.hit_rate),
            before=share(before.hit_rate if before else None),
            note=tokens,
        ),
    ]


def _money(name: str, now: Totals, before: Totals | None, field: str, note: str) -> Card:
    amount, earlier = getattr(now, field), getattr(before, field) if before else Decimal(0)
    change = "" if not earlier else f", {float(amount / earlier) - 1:+.0%}"
    return Card(name=name, amount=dollars(amount), before=f"{dollars(earlier)}{change}", note=note)


def _gain(report: Report, upstream: str, price_usd: Decimal) -> dict[str, str] | None:
    gain = next((row for row in report.gains if row.upstream == upstream), None)
    if gain is None:
        return None
    verdict = gain.verdict(price_usd)
    return {
        "seconds": interval(gain.saved_seconds, lambda value: f"{value:,.1f} s"),
        "source": gettext(gain.source.words),
        "usd": interval(gain.extra_usd, dollars),
        "each": interval(gain.usd_per_saved_second, dollars),
        "price": dollars(price_usd),
        "verdict": gettext(verdict.words),
        "name": str(verdict),
    }


def _wasted(row: Waste) -> tuple[Any, ...]:
    log = f"{reverse('admin:warmcache_warmup_changelist')}?{urlencode({'label': row.label, 'intent': row.intent})}"
    figures = (dollars(row.wasted_usd), share(row.wasted_share), dollars(row.cost_usd), f"{row.warm_ups:,}")
    return (row.label or "-", _intent(row.intent), log, figures, gettext(row.advice))


def _skipped(row: Skips) -> tuple[str, str, str, int]:
    return (_reason(row.reason), _intent(row.intent), row.label or "-", row.count)


def _warmth(stored: str) -> str:
    return gettext(RequestWarmth(stored).words) if stored in list(RequestWarmth) else stored


def _intent(stored: str) -> str:
    return gettext(Intent(stored).words) if stored in list(Intent) else stored


def _reason(stored: str) -> str:
    return gettext(Reason(stored).words) if stored in list(Reason) else stored
