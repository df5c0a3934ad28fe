"""The operator's view of people, assistants and conversations. Lists show no text of a conversation."""

import time
from decimal import Decimal
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chatapp import mcp_admin as mcp_admin
from chatapp.accounts import deletions, invitations, second_factor
from chatapp.assistants_admin import NoPatterns
from chatapp.conversations import places
from chatapp.models import (
    Attachment,
    Conversation,
    Erasure,
    Invitation,
    LimitMet,
    Message,
    SharedLink,
    Summary,
    UsageAccount,
    UsageLimit,
    User,
)
from chatapp.protocol.words import Measure, QuotaScope
from chatapp.quotas import accounts
from chatapp.shared_links_admin import SharedLinkAdmin
from warmcache.admin import host as ledger_host
from warmcache.admin.host import ShownMessage


class ChatHost:
    """The chat's words in the ledger: a person is `user 7`, a conversation its id."""

    def subjects_named(self, name: str) -> list[str]:
        return [f"user {pk}" for pk in User.objects.filter(username=name).values_list("pk", flat=True)]

    def name_of(self, subject: str) -> str | None:
        number = subject.removeprefix("user ")
        if number == subject or not number.isdecimal():
            return None
        return User.objects.filter(pk=int(number)).values_list("username", flat=True).first()

    def message_of(self, place: str, request_id: str) -> ShownMessage | None:
        conversation_id = places.conversation_of(place)
        if conversation_id is None:
            return None
        columns = ("pk", "ttft_ms", "browser_ttft_ms")
        found = (
            Message.objects.filter(conversation=conversation_id, request_id=request_id).values_list(*columns).first()
        )
        if found is None:
            return None
        pk, server_ms, browser_ms = found
        url = reverse("admin:chatapp_message_change", args=[pk])
        return ShownMessage(url=url, server_ttft_ms=server_ms, browser_ttft_ms=browser_ms)


ledger_host.register(ChatHost())

admin.site.site_header = "Warmcache"
admin.site.site_title = "Warmcache"
admin.site.index_title = _("Administration")


def _is_beyond(request: HttpRequest, person: User | None) -> bool:
    """Of a superuser, only another one may change anything."""
    return person is not None and person.is_superuser and not request.user.is_superuser


@admin.register(User)
class PeopleAdmin(NoPatterns, UserAdmin):  # type: ignore[type-arg]
    """Django's own; but people are deleted in the background, since one may have thousands of conversations."""

    actions = ("take_second_factor_away",)

    @admin.action(description=_("Take the second factor away"), permissions=["change"])
    def take_second_factor_away(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """For somebody who has lost the app and the recovery codes."""
        for person in queryset:
            if _is_beyond(request, person):
                told = gettext("%(person)s is a superuser: only another one may do that.") % {"person": person}
                self.message_user(request, told, messages.ERROR)
                continue
            second_factor.remove(person)
            self.log_change(request, person, "The second factor was taken away.")
            told = gettext("%(person)s signs in with the password alone.") % {"person": person}
            self.message_user(request, told, messages.SUCCESS)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Asked for a new password, too."""
        return super().has_change_permission(request, obj) and not _is_beyond(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not _is_beyond(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Who may change people gives nobody, not even themselves, rights that they lack."""
        rights = () if request.user.is_superuser else ("is_superuser", "groups", "user_permissions")
        return (*super().get_readonly_fields(request, obj), *rights)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).filter(deletion_asked_at=None)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """Counts what goes, where Django's own would read and list it."""
        people = list(objs)
        counts = {
            gettext("users"): len(people),
            gettext("conversations"): Conversation.objects.filter(user__in=people).count(),
            gettext("attachments"): Attachment.objects.filter(user__in=people).count(),
        }
        missing = set() if all(self.has_delete_permission(request, person) for person in people) else {"user"}
        return [str(person) for person in people], counts, missing, []

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        deletions.ask(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for person in queryset:
            deletions.ask(person)


@admin.register(Invitation)
class InvitationAdmin(NoPatterns):
    """Its link is shown once, when it is made. To take one back, delete it."""

    list_display = ("note", "created_by", "created_at", "expires_at", "used_at", "used_by")
    list_select_related = ("created_by", "used_by")
    fields = ("note",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: bool) -> None:
        made, token = invitations.create(by=cast(User, request.user), note=obj.note)
        obj.pk = made.pk
        link = request.build_absolute_uri(reverse("invitation", args=[token]))
        told = gettext("Send this link to one person: %(link)s It works once, for 7 days, and is not shown again.")
        self.message_user(request, told % {"link": link}, messages.SUCCESS)


class ReadOnlyAdmin(NoPatterns):
    """Rows that an operator can read, and delete one by one, but never edit."""

    # Also because the checkboxes that select rows are labelled with the rows' titles.
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class TranscriptAdmin(ReadOnlyAdmin):
    """Rows that hold what people wrote: whoever opens one is logged, in the history of the row and of the reader."""

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is not None and self.has_view_permission(request, row):
            self.log_change(request, row, "Read.")
        return super().change_view(request, object_id, form_url, extra_context)


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    list_display = ("id", "user", "assistant", "message_count", "created_at", "updated_at")
    list_filter = ("assistant", "updated_at")
    list_select_related = ("user", "assistant")
    search_fields = ("id", "user__username")
    date_hierarchy = "updated_at"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        return super().get_queryset(request).annotate(messages_in_all=Count("messages"))

    def get_fields(self, request: HttpRequest, obj: Conversation | None = None) -> Any:
        """A title quotes the first message: only who may read messages sees it."""
        fields = super().get_fields(request, obj)
        return fields if request.user.has_perm("chatapp.view_message") else [name for name in fields if name != "title"]

    @admin.display(description=_("messages"), ordering="messages_in_all")
    def message_count(self, conversation: Any) -> int:
        return int(conversation.messages_in_all)


@admin.register(Message)
class MessageAdmin(TranscriptAdmin):
    list_display = (
        "id",
        "created_at",
        "role",
        "status",
        "model",
        "warmth",
        "ttft_ms",
        "browser_ttft_ms",
        "cache_read_tokens",
        "cache_write_tokens",
        "cost_usd",
    )
    list_filter = ("role", "status", "warmth", "model", "created_at")
    search_fields = ("id", "conversation__id", "conversation__user__username", "request_id", "error_code")
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-pk")
    show_full_result_count = False
    readonly_fields = ("in_the_ledger",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        """The list shows no text: reading a hundred of them would be for nothing."""
        return super().get_queryset(request).defer("content", "text")

    @admin.display(description=_("in the ledger"))
    def in_the_ledger(self, message: Message) -> SafeString | str:
        """The request that wrote it, and what that cost."""
        if not message.request_id:
            return "-"
        address = f"{reverse('admin:warmcache_usagerecord_changelist')}?{urlencode({'q': message.request_id})}"
        return format_html('<a href="{}">{}</a>', address, message.request_id)


@admin.register(Attachment)
class AttachmentAdmin(TranscriptAdmin):
    list_display = ("id", "user", "created_at", "size_bytes", "in_message")
    search_fields = ("id", "user__username")
    list_select_related = ("user",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attachment]:
        """Neither pictures nor texts are in the list, and no page here shows a picture."""
        return super().get_queryset(request).defer("picture", "text")

    @admin.display(description=_("message"))
    def in_message(self, attachment: Attachment) -> SafeString | str:
        if attachment.message_id is None:
            return "-"
        return format_html(
            '<a href="{}">{}</a>',
            reverse("admin:chatapp_message_change", args=[attachment.message_id]),
            attachment.message_id,
        )


@admin.register(Summary)
class SummaryAdmin(TranscriptAdmin):
    list_display = (
        "id",
        "conversation_id",
        "model",
        "replaces_tokens",
        "cost_usd",
        "began_at",
        "written_at",
        "failed_at",
    )
    list_filter = ("model", "began_at")
    search_fields = ("conversation__id", "conversation__user__username")
    date_hierarchy = "began_at"


admin.site.register(SharedLink, SharedLinkAdmin)


@admin.register(UsageLimit)
class UsageLimitAdmin(NoPatterns):
    """In force in every process within two seconds."""

    list_display = (
        "__str__",
        "messages_per_minute",
        "messages_per_day",
        "running_replies",
        "usd_per_day",
        "usd_per_month",
        "updated_at",
    )
    list_filter = ("applies_to",)
    list_select_related = ("user", "group")
    search_fields = ("user__username", "group__name")
    autocomplete_fields = ("user",)
    fieldsets = (
        (None, {"fields": ("applies_to", "user", "group")}),
        (
            _("Limits"),
            {
                "description": _(
                    "An empty field leaves the more general limit in force, 0 allows nothing. In force in every "
                    "process within two seconds."
                ),
                "fields": (
                    "messages_per_minute",
                    "messages_per_day",
                    "running_replies",
                    "usd_per_day",
                    "usd_per_month",
                ),
            },
        ),
    )


@admin.register(LimitMet)
class LimitMetAdmin(ReadOnlyAdmin):
    """Who met which limit, and how often on that day."""

    list_display = ("user", "day", "what", "whose", "limit", "count", "last_at")
    list_filter = ("day", "scope", "measure")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    date_hierarchy = "day"

    @admin.display(description=_("limit of"), ordering="measure")
    def what(self, met: LimitMet) -> str:
        return gettext(Measure(met.measure).words)

    @admin.display(description=_("whose limit"), ordering="scope")
    def whose(self, met: LimitMet) -> str:
        return gettext(QuotaScope(met.scope).words)


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin):
    """Whose data was erased, when, and how much it was; without a name."""

    list_display = ("person", "asked_at", "finished_at", "conversations", "files", "ledger_rows")
    search_fields = ("=person",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """It is the proof."""
        return False


@admin.register(UsageAccount)
class UsageAccountAdmin(ReadOnlyAdmin):
    """What people, groups and everybody together have used in the current minute, day and month."""

    list_display = ("whose", *Measure)
    search_fields = ("name",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Deleting one would begin a new day of spending."""
        return False

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With the names of all rows, read at once."""
        changes: Any = super().get_changelist_instance(request)
        ids: dict[str, list[int]] = {"user": [], "group": []}
        for account in changes.result_list:
            kind, _, number = account.name.partition(":")
            if number:
                ids[kind].append(int(number))
        holders = {"all": gettext("everybody together")}
        holders |= {accounts.name_of(pk): str(user) for pk, user in User.objects.in_bulk(ids["user"]).items()}
        holders |= {accounts.name_of_group(pk): str(group) for pk, group in Group.objects.in_bulk(ids["group"]).items()}
        for account in changes.result_list:
            account.holder = holders.get(account.name, account.name)
        return changes

    @admin.display(description=_("whose"), ordering="name")
    def whose(self, account: Any) -> str:
        return str(account.holder)

    @admin.display(description=_(Measure.MESSAGES_PER_MINUTE.words))
    def messages_per_minute(self, account: UsageAccount) -> str:
        return self._used(account, Measure.MESSAGES_PER_MINUTE)

    @admin.display(description=_(Measure.MESSAGES_PER_DAY.words))
    def messages_per_day(self, account: UsageAccount) -> str:
        return self._used(account, Measure.MESSAGES_PER_DAY)

    @admin.display(description=_(Measure.RUNNING_REPLIES.words), ordering="running")
    def running_replies(self, account: UsageAccount) -> str:
        return self._used(account, Measure.RUNNING_REPLIES)

    @admin.display(description=_(Measure.USD_PER_DAY.words))
    def usd_per_day(self, account: UsageAccount) -> str:
        return self._used(account, Measure.USD_PER_DAY)

    @admin.display(description=_(Measure.USD_PER_MONTH.words))
    def usd_per_month(self, account: UsageAccount) -> str:
        return self._used(account, Measure.USD_PER_MONTH)

    def _used(self, account: UsageAccount, measure: Measure) -> str:
        used = accounts.standing_of(account).used(measure, time.time())
        return format(used.quantize(Decimal("0.0001")).normalize(), "f") if used else "0"
