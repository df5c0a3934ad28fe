"""The operator's settings in Django's admin: one row; each empty field shows the value in force instead."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext, override
from django.utils.translation import gettext_lazy as _

from warmcache.admin.console import THE_ROW, ConsolePages
from warmcache.admin.knobs import Lately, knobs_of, told_changes, warnings_of
from warmcache.admin.previews import previews_of
from warmcache.conf import Config, get_config
from warmcache.core.intents import Intent
from warmcache.ledger.rollups import MIN_KEEP_DAYS, begins
from warmcache.models import WarmPolicy, choices_of
from warmcache.operator_policy import policy_in_force, read_row
from warmcache.reports.evidence import read_evidence
from warmcache.reports.figures import report_of
from warmcache.runtime.wiring import SystemClock
from warmcache.upstream.prices import price_list

MONEY = ("value_of_second_usd", "max_cost_per_warm_up_usd", "user_daily_usd", "daily_usd")
NUMBERS = ("user_daily_warm_ups", "daily_warm_ups")
JUDGED_DAYS = 7
MOST_CHANGES = 20


class WarmPolicyForm(ModelForm):  # type: ignore[type-arg]
    """Refuses invalid values, and shows for each field which value applies if it is empty."""

    intents = forms.MultipleChoiceField(
        label=_("Intents that warm"),
        choices=choices_of(Intent),
        widget=forms.CheckboxSelectMultiple,
        required=False,
        error_messages={"invalid_choice": _("%(value)s is no intent.")},
    )
    holdout_share = forms.FloatField(
        label=_("Hold-out share"),
        min_value=0,
        max_value=1,
        required=False,
        error_messages={
            "min_value": _("A share is between 0 and 1: 0.05 holds every twentieth visit out."),
            "max_value": _("A share is between 0 and 1: 0.05 holds every twentieth visit out."),
        },
    )

    class Meta:
        model = WarmPolicy
        fields = (
            *("is_enabled", "value_of_second_usd", "max_cost_per_warm_up_usd", "holdout_share", "intents"),
            *("user_daily_usd", "user_daily_warm_ups", "daily_usd", "daily_warm_ups", "keeps_shared_layers"),
            "keep_days",
        )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        config = get_config()
        for name in MONEY:
            if name in self.fields:
                self.fields[name].validators.append(_not_negative)
            self._explain(name, gettext("US dollars. Empty: %(value)s, as in the settings."), getattr(config, name))
        for name in NUMBERS:
            self._explain(name, gettext("Empty: %(value)s, as in the settings."), getattr(config, name))
        self._explain(
            "holdout_share",
            gettext(
                "0 to 1: part of the visits that are not warmed, by lot, so that the report can tell what warming "
                "buys. Empty: %(value)s, as in the settings."
            ),
            f"{config.holdout_share:g}",
        )
        self._explain(
            "keep_days",
            gettext(
                "At least 8; older rows are deleted within the hour and are gone, their sums stay. 0: for ever. "
                "Empty: %(value)s, as in the settings."
            ),
            config.keep_days,
        )
        told = gettext("None ticked: as in the settings, which is %(value)s.")
        self._explain("intents", told, _listed(config))
        self._explain("is_enabled", _switch_text(config))
        if config.keeps_shared_layers:
            self._explain("keeps_shared_layers", gettext("The settings have it on, whatever stands here."))

    def clean_keep_days(self) -> int | None:
        days: int | None = self.cleaned_data["keep_days"]
        if days and days < MIN_KEEP_DAYS:
            raise forms.ValidationError(gettext("The forecasts look back on 8 days: keep at least these, or 0."))
        return days

    def clean_intents(self) -> list[str] | None:
        return self.cleaned_data["intents"] or None

    def _explain(self, name: str, text: str, value: object = "") -> None:
        """Whoever may only look has a form without fields."""
        if name in self.fields:
            self.fields[name].help_text = text % {"value": value}


@admin.register(WarmPolicy)
class WarmPolicyAdmin(ConsolePages):
    """Exactly one row: it is added once, then changed, and never deleted."""

    form = WarmPolicyForm
    readonly_fields = ("updated_at",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and not WarmPolicy.objects.exists()

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Redirects to the row: a list of one row is useless."""
        row = read_row()
        if row is not None:
            return HttpResponseRedirect(reverse("admin:warmcache_warmpolicy_change", args=[row.pk]))
        if self.has_add_permission(request):
            return HttpResponseRedirect(reverse("admin:warmcache_warmpolicy_add"))
        return super().changelist_view(request, {**(extra_context or {}), **facts()})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Without the button that would lead to a second row, which cannot exist; with what each knob does."""
        context = {**(extra_context or {}), "show_save_and_add_another": False}
        if request.method == "GET" and self.has_view_or_change_permission(request):
            context |= facts()
        return super().changeform_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: WarmPolicy, form: Any, change: bool) -> None:
        if not change:
            obj.pk = THE_ROW
        super().save_model(request, obj, form, change)
        for warning in warnings_of(policy_in_force(get_config(), obj)):
            messages.warning(request, warning)

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """Both values of each knob that changed: who reads it later wants to know what was in force."""
        # The log is one for all readers, in English.
        with override(None):
            return told_changes(form.initial, form.cleaned_data)


def facts() -> dict[str, Any]:
    """What each knob means, did of late and could do, and who has changed which: for whoever may look."""
    config, now = get_config(), SystemClock().now()
    rates, row = price_list(config), read_row()
    policy = policy_in_force(config, row)
    evidence = read_evidence(now=now, period_seconds=JUDGED_DAYS * 86_400, rates=rates, is_patient=False)
    lately = Lately(
        report=report_of(evidence), evidence=evidence, upstream=config.upstream, days=JUDGED_DAYS, begins=begins()
    )
    return {
        "knobs": knobs_of(policy, row, config, lately),
        "days": JUDGED_DAYS,
        "warnings": warnings_of(policy),
        "is_complete": evidence.is_complete,
        "previews": previews_of(evidence, upstream=config.upstream, days=JUDGED_DAYS, policy=policy, rates=rates),
        "price": policy.value_of_second_usd,
        "changes": [(entry.action_time, entry.user.get_username(), entry.get_change_message()) for entry in _changes()],
    }


def _changes() -> list[LogEntry]:
    of_policy = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(WarmPolicy))
    return list(of_policy.select_related("user").order_by("-action_time")[:MOST_CHANGES])


def _not_negative(value: Any) -> None:
    if value is not None and value < 0:
        raise forms.ValidationError(gettext("This cannot be negative."))


def _listed(config: Config) -> str:
    return ", ".join(gettext(intent.words) for intent in config.intents) or gettext("none")


def _switch_text(config: Config) -> str:
    in_force = gettext("In force in every process within two seconds, without a restart.")
    return (
        in_force if config.enabled else f"{in_force} {gettext('The settings have warming off, whatever stands here.')}"
    )
