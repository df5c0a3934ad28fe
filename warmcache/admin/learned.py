"""What has been learned, beside what was assumed: the beliefs of the next decision, read from what processes stored."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from warmcache.admin.console import ConsolePages, bar
from warmcache.admin.previews import forecasts_of
from warmcache.admin.words import share
from warmcache.conf import get_config
from warmcache.core.catalog import facts_for
from warmcache.core.estimates import TEXT_KINDS, prior_tokens
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.forecast.signs import LEAD_EDGES, IntentForecast
from warmcache.core.forecast.sizes import tokens_per_unit
from warmcache.core.intents import Sign
from warmcache.core.upstreams import Upstream
from warmcache.learned.rows import stored
from warmcache.models import LearnedEvidence

SILENCES = ((60, _("1 min")), (300, _("5 min")), (3600, _("1 h")), (86_400, _("a day")))
PREFILLS = (10_000, 50_000, 150_000)
SIZED_CHARACTERS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """`sample`: observations behind it; older ones count in part."""

    what: str
    learned: str
    assumed: str
    sample: str


@admin.register(LearnedEvidence)
class LearnedAdmin(ConsolePages):
    """One page for each label, in place of a list of sums that say nothing to a person."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        return [path("", self.admin_site.admin_view(self.page), name="warmcache_learnedevidence_changelist")]

    def page(self, request: HttpRequest) -> HttpResponse:
        """Two queries beside the bar's."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        wanted = request.GET.get("upstream", "")
        upstream = wanted if wanted in list(Upstream) else str(get_config().upstream)
        every = LearnedEvidence.objects.filter(upstream=upstream).order_by("label")
        labels = [label for label in every.values_list("label", flat=True) if label != LearnedEvidence.SPEED]
        asked = request.GET.get("label", "")
        label = asked if asked in labels else (labels[0] if labels else "")
        known = stored(upstream, {LearnedEvidence.SPEED, label})
        habits, speed = forecasts_of(known.get(label)), forecasts_of(known.get(LearnedEvidence.SPEED))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("What was learned"),
            "opts": self.opts,
            "warming": bar(request),
            "learns": get_config().learns,
            "label": label,
            "labels": labels,
            "is_unknown": bool(asked) and asked not in labels,
            "upstream": upstream,
            "upstreams": {str(each): gettext(each.words) for each in Upstream},
            "sections": [
                (gettext("Signs of a message"), list(_signs(habits)) if label in known else []),
                (gettext("Silences"), list(_silences(habits)) if label in known else []),
                (gettext("Requests"), list(_requests(habits)) if label in known else []),
                (gettext("Speed of each model, over all assistants"), list(_speeds(speed))),
                (gettext("Tokens that a text takes, over all assistants"), list(_sizes(speed))),
            ],
        }
        return TemplateResponse(request, "admin/warmcache/learned.html", context)


def _signs(forecasts: Forecasts) -> Iterator[Belief]:
    nothing = Forecasts()
    for sign in Sign:
        learned, assumed = forecasts.intent(sign), nothing.intent(sign)
        yield Belief(
            what=gettext("%(sign)s: a message follows") % {"sign": gettext(sign.words)},
            learned=share(learned.send_chance),
            assumed=share(assumed.send_chance),
            sample=_sample(learned.sample_size),
        )
        yield Belief(
            what=gettext("%(sign)s: half of them within") % {"sign": gettext(sign.words)},
            learned=_seconds(_median_lead(learned)),
            assumed=_seconds(_median_lead(assumed)),
            sample=_sample(learned.sent),
        )


def _median_lead(forecast: IntentForecast) -> float:
    """To the bin's edge: leads are counted in bins."""
    return next((edge for edge in LEAD_EDGES if forecast.lead_exceeds(edge) <= 0.5), LEAD_EDGES[-1])


def _silences(forecasts: Forecasts) -> Iterator[Belief]:
    nothing = Forecasts()
    for what, learned, assumed in (
        (gettext("after a reply, nobody comes for %(time)s"), forecasts.after_reply, nothing.after_reply),
        (
            gettext("after a tool was asked for, nothing comes for %(time)s"),
            forecasts.after_tool_use,
            nothing.after_tool_use,
        ),
        (gettext("of all people together, nobody comes for %(time)s"), forecasts.arrivals, nothing.arrivals),
    ):
        for seconds, words in SILENCES:
            yield Belief(
                what=what % {"time": words},
                learned=share(learned.survival(seconds)),
                assumed=share(assumed.survival(seconds)),
                sample=_sample(learned.observed_returns)
                if learned.is_representative
                else gettext("%(count)s, too few: assumed") % {"count": _sample(learned.observed_returns)},
            )


def _requests(forecasts: Forecasts) -> Iterator[Belief]:
    nothing = Forecasts()
    for what, learned, assumed in (
        (gettext("of the warm prefix, the next request still begins with"), forecasts.kept, nothing.kept),
        (gettext("of the replies, ask for a tool"), forecasts.tool_use, nothing.tool_use),
    ):
        yield Belief(what=what, learned=share(learned.mean), assumed=share(assumed.mean), sample=_sample(learned.count))
    yield Belief(
        what=gettext("tokens of a reply"),
        learned=f"{forecasts.reply_tokens.mean:,.0f}",
        assumed=f"{nothing.reply_tokens.mean:,.0f}",
        sample=_sample(forecasts.reply_tokens.count),
    )


def _speeds(forecasts: Forecasts) -> Iterator[Belief]:
    nothing = Forecasts()
    for model in sorted(forecasts.prefills):
        learned, assumed = forecasts.prefill(model), nothing.prefill(model)
        sample = _sample(learned.observed_calls)
        yield Belief(
            what=gettext("%(model)s: the shortest call") % {"model": model},
            learned=_seconds(learned.round_trip_seconds),
            assumed=_seconds(assumed.round_trip_seconds),
            sample=sample,
        )
        for tokens in PREFILLS:
            yield Belief(
                what=gettext("%(model)s: reading %(tokens)s tokens from the cache saves")
                % {"model": model, "tokens": f"{tokens:,}"},
                learned=_seconds(learned.saved_seconds(tokens)),
                assumed=_seconds(assumed.saved_seconds(tokens)),
                sample=sample,
            )


def _sizes(forecasts: Forecasts) -> Iterator[Belief]:
    for model in sorted(forecasts.sizes):
        size, priors = forecasts.size(model), prior_tokens(facts_for(model))
        learned = tokens_per_unit(priors, size.coefficients())
        for kind in TEXT_KINDS:
            yield Belief(
                what=gettext("%(model)s: %(count)s characters of %(kind)s")
                % {"model": model, "count": f"{SIZED_CHARACTERS:,}", "kind": gettext(KINDS[kind])},
                learned=gettext("%(count)s tokens") % {"count": f"{learned[kind] * SIZED_CHARACTERS:,.0f}"},
                assumed=gettext("%(count)s tokens") % {"count": f"{priors[kind] * SIZED_CHARACTERS:,.0f}"},
                sample=_sample(size.bills),
            )


KINDS = dict(
    zip(
        TEXT_KINDS,
        (
            gettext_noop("prose"),
            gettext_noop("symbols"),
            gettext_noop("digits"),
            gettext_noop("line ends and indentation"),
            gettext_noop("Chinese, Japanese, Korean"),
            gettext_noop("other scripts"),
        ),
        strict=True,
    )
)


def _sample(count: float) -> str:
    return f"{count:,.1f}".removesuffix(".0")


def _seconds(value: float) -> str:
    return f"{value:,.2f} s"
