"""What every page of warmcache in the admin shows: whether warming is on, and the switch."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from warmcache.addresses import without_nul
from warmcache.conf import get_config
from warmcache.operator_policy import policy_in_force, read_row

THE_ROW = 1
"""The primary key of the policy's row: two operators who add it at the same moment write the same row."""
MAY_SWITCH = "warmcache.change_warmpolicy"


def bar(request: HttpRequest) -> dict[str, Any]:
    """The context of `admin/warmcache/_bar.html`. One query."""
    config = get_config()
    return {
        "is_on": policy_in_force(config, read_row()).is_enabled,
        "is_off_in_settings": not config.enabled,
        "may_switch": request.user.has_perm(MAY_SWITCH),
        "may_see_policy": request.user.has_perm("warmcache.view_warmpolicy") or request.user.has_perm(MAY_SWITCH),
        "may_see_ledger": request.user.has_perm("warmcache.view_warmup"),
        "may_see_learned": request.user.has_perm("warmcache.view_learnedevidence"),
        "next": request.get_full_path(),
    }


class ConsolePages(admin.ModelAdmin):  # type: ignore[type-arg]
    """Lists and details with the bar above them."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        request.GET = without_nul(request.GET)  # type: ignore[assignment]
        return super().changelist_view(request, {**(extra_context or {}), "warming": bar(request)})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        return super().changeform_view(request, object_id, form_url, {**(extra_context or {}), "warming": bar(request)})
