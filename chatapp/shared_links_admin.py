"""Links that people have shared, for an operator: whose, how old and until when, without what they show."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chatapp.assistants_admin import NoPatterns
from chatapp.models import SharedLink


class StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", gettext("can be read")), ("over", gettext("its time is over"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[SharedLink]) -> QuerySet[SharedLink]:
        now = timezone.now()
        match self.value():
            case "open":
                return queryset.filter(expires_at__gt=now)
            case "over":
                return queryset.filter(expires_at__lte=now)
            case _:
                return queryset


class SharedLinkAdmin(NoPatterns):
    """Nobody can open one from here: its token is only in the link. Its title quotes the first message, and is not
    shown either."""

    list_display = ("id", "owner", "conversation_id", "created_at", "expires_at")
    list_filter = (StateFilter, "created_at")
    list_select_related = ("conversation__user",)
    search_fields = ("conversation__id", "conversation__user__username")
    date_hierarchy = "created_at"
    fields = ("owner", "conversation_id", "created_at", "expires_at")
    readonly_fields = fields
    actions = ("revoke",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SharedLink]:
        return super().get_queryset(request).defer("title", "token_hash")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_actions(self, request: HttpRequest) -> Any:
        """To revoke a link is to delete it: one word for that is enough."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    @admin.display(description=_("shared by"), ordering="conversation__user__username")
    def owner(self, link: SharedLink) -> str:
        return str(link.conversation.user)

    @admin.action(description=_("Revoke"), permissions=["delete"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[SharedLink]) -> None:
        """At once and for good; the conversation stays."""
        self.log_deletions(request, queryset)
        count = queryset.delete()[0]
        told = gettext("Revoked: %(count)d. Their pages say that there is nothing.") % {"count": count}
        self.message_user(request, told, messages.SUCCESS)
