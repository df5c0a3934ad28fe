"""The operator's view of people, assistants and conversations. Lists show no text of a conversation."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import Count, QuerySet
from django.forms import BaseInlineFormSet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from chatapp.accounts import deletions
from chatapp.conversations import places, prompts
from chatapp.models import (
    Assistant,
    Attachment,
    Conversation,
    Document,
    LimitMet,
    Message,
    UsageAccount,
    UsageLimit,
    User,
)
from chatapp.protocol.words import Measure, QuotaScope
from chatapp.quotas import accounts
from chatapp.warming import assistant_layers
from warmcache import Reason, WarmthState, bridge
from warmcache import services as warmcache
from warmcache.admin import host as ledger_host
from warmcache.admin.host import ShownMessage
from warmcache.core.prefix import Prompt
from warmcache.warmups.layer_report import lines_of, report_on
from warmcache.words import reason_text

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
MAX_DOCUMENTS_BYTES = 16 * 1024 * 1024
"""Of one assistant. At worst, a form takes three times as many bytes, which the body's limit leaves room for."""


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
admin.site.index_title = "Administration"


class NoPatterns(admin.ModelAdmin):  # type: ignore[type-arg]
    """Refuses regular expressions in the address: one that the database cannot parse would be a server error."""

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        return not lookup.endswith("regex") and super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]


@admin.register(User)
class PeopleAdmin(NoPatterns, UserAdmin):  # type: ignore[type-arg]
    """Django's own; but people are deleted in the background, since one may have thousands of conversations."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).filter(deletion_asked_at=None)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """Counts what goes, where Django's own would read and list it."""
        people = list(objs)
        counts = {
            "users": len(people),
            "conversations": Conversation.objects.filter(user__in=people).count(),
            "attachments": Attachment.objects.filter(user__in=people).count(),
        }
        missing = set() if self.has_delete_permission(request) else {"user"}
        return [str(person) for person in people], counts, missing, []

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        deletions.ask(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for person in queryset:
            deletions.ask(person)


class ReadOnlyAdmin(NoPatterns):
    """Rows that an operator can read, and delete one by one, but never edit."""

    # Also because the checkboxes that select rows are labelled with the rows' titles.
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class DocumentForm(forms.ModelForm):  # type: ignore[type-arg]
    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"]
        if (size_bytes := len(text.encode())) > MAX_DOCUMENT_BYTES:
            raise ValidationError(f"This document holds {_megabytes(size_bytes)}, and may hold at most 4 MB.")
        return text


class DocumentForms(BaseInlineFormSet):  # type: ignore[type-arg]
    """All documents of an assistant, with a limit for them together."""

    def clean(self) -> None:
        super().clean()
        filled = [getattr(form, "cleaned_data", {}) for form in self.forms]
        kept = [fields for fields in filled if not fields.get("DELETE")]
        size_bytes = sum(len(str(fields.get("text", "")).encode()) for fields in kept)
        if size_bytes > MAX_DOCUMENTS_BYTES:
            raise ValidationError(
                f"The documents hold {_megabytes(size_bytes)} together, and may hold at most 16 MB: "
                "more than any model can read."
            )


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1024**2:.1f} MB"


class DocumentInline(admin.StackedInline):  # type: ignore[type-arg]
    model = Document
    form = DocumentForm
    formset = DocumentForms
    extra = 0
    classes = ("collapse",)
    fields = ("title", "position", "text")


@admin.register(Assistant)
class AssistantAdmin(NoPatterns):
    list_display = ("name", "model", "thinking", "shared_ttl", "document_count", "is_default", "updated_at")
    list_filter = ("model", "is_default")
    search_fields = ("name", "slug", "description", "model")
    prepopulated_fields = {"slug": ("name",)}  # noqa: RUF012  Django's own way to declare it
    inlines = (DocumentInline,)
    actions = ("warm_now",)
    readonly_fields = ("shared_layer",)
    fieldsets = (
        (None, {"fields": ("name", "slug", "description", "is_default")}),
        ("What it is told", {"fields": ("system_prompt",)}),
        ("Model", {"fields": ("model", "thinking", "effort", "max_output_tokens")}),
        ("Prompt cache", {"fields": ("shared_ttl", "conversation_ttl", "shared_layer")}),
        ("Tools and format", {"classes": ("collapse",), "fields": ("tools", "output_schema")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Assistant]:
        return super().get_queryset(request).annotate(documents_in_all=Count("documents"))

    def save_model(self, request: HttpRequest, obj: Assistant, form: Any, change: bool) -> None:
        """A new default takes the place of the old one."""
        super().save_model(request, obj, form, change)
        if obj.is_default:
            Assistant.objects.exclude(pk=obj.pk).update(is_default=False)

    @admin.display(description="documents", ordering="documents_in_all")
    def document_count(self, assistant: Any) -> int:
        return int(assistant.documents_in_all)

    @admin.display(description="shared by everybody")
    def shared_layer(self, assistant: Assistant) -> SafeString | str:
        """How often its instructions and documents are used, and what holding them warm would cost."""
        if not assistant.pk:
            return "-"
        report = report_on(assistant_layers.layer_of(assistant.pk, assistant.slug), time.time())
        if report is None:
            return "-"
        holder = bridge.call(warmcache.holder_of, assistant.slug) if report.is_keeping_on else None
        lines = format_html_join("", "<dt>{}</dt><dd>{}</dd>", lines_of(report, holder))
        return format_html("<dl>{}</dl>", lines)

    @admin.action(description="Warm now", permissions=["change"])
    def warm_now(self, request: HttpRequest, queryset: QuerySet[Assistant]) -> None:
        """Warms the shared layer, whether or not anybody types."""
        assistants = list(queryset)
        wanted = [(assistant.slug, prompts.prompt_for_new_chat(assistant)) for assistant in assistants]
        for assistant, warmth in zip(
            assistants, bridge.call(_warm_all, wanted, subject=f"user {request.user.pk}"), strict=True
        ):
            self.message_user(request, *_outcome(assistant, warmth))


async def _warm_all(wanted: Sequence[tuple[str, Prompt]], *, subject: str) -> list[warmcache.Warmth]:
    """Warms all at once, so that the page waits only as long as for one."""
    warm_ups = (warmcache.warm_now(prompt, label=label, subject=subject) for label, prompt in wanted)
    return await asyncio.gather(*warm_ups)


def _outcome(assistant: Assistant, warmth: warmcache.Warmth) -> tuple[str, int]:
    """The message for the operator and its level."""
    match warmth.state:
        case WarmthState.WARM | WarmthState.EXPIRING:
            ends = "" if warmth.expires_at is None else f", until about {_time(warmth.expires_at)}"
            done = "was warm already" if warmth.reason is Reason.ALREADY_WARM else "is warm"
            return f"{assistant} {done}: about {warmth.prefix_tokens:,} tokens{ends}.", messages.SUCCESS
        case WarmthState.WARMING:
            return f"{assistant} is being warmed; the warm-ups tell how it ends.", messages.INFO
        case WarmthState.FAILED:
            return f"{assistant} could not be warmed: {reason_text(warmth.reason or '')}.", messages.ERROR
        case _:
            return f"{assistant} was not warmed: {reason_text(warmth.reason or '')}.", messages.WARNING


def _time(epoch_seconds: float) -> str:
    return date_format(localtime(datetime.fromtimestamp(epoch_seconds, tz=UTC)), "H:i:s")


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    list_display = ("id", "user", "assistant", "message_count", "created_at", "updated_at")
    list_filter = ("assistant", "updated_at")
    list_select_related = ("user", "assistant")
    search_fields = ("id", "user__username")
    date_hierarchy = "updated_at"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        return super().get_queryset(request).annotate(messages_in_all=Count("messages"))

    @admin.display(description="messages", ordering="messages_in_all")
    def message_count(self, conversation: Any) -> int:
        return int(conversation.messages_in_all)


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
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

    @admin.display(description="in the ledger")
    def in_the_ledger(self, message: Message) -> SafeString | str:
        """The request that wrote it, and what that cost."""
        if not message.request_id:
            return "-"
        address = f"{reverse('admin:warmcache_usagerecord_changelist')}?{urlencode({'q': message.request_id})}"
        return format_html('<a href="{}">{}</a>', address, message.request_id)


@admin.register(Attachment)
class AttachmentAdmin(ReadOnlyAdmin):
    list_display = ("id", "user", "created_at", "size_bytes", "message")
    search_fields = ("id", "user__username")
    list_select_related = ("user", "message")


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
            "Limits",
            {
                "description": "An empty field leaves the more general limit in force, 0 allows nothing. In force in "
                "every process within two seconds.",
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

    @admin.display(description="limit of", ordering="measure")
    def what(self, met: LimitMet) -> str:
        return Measure(met.measure).words

    @admin.display(description="whose limit", ordering="scope")
    def whose(self, met: LimitMet) -> str:
        return QuotaScope(met.scope).words


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
        holders = {"all": "everybody together"}
        holders |= {accounts.name_of(pk): str(user) for pk, user in User.objects.in_bulk(ids["user"]).items()}
        holders |= {accounts.name_of_group(pk): str(group) for pk, group in Group.objects.in_bulk(ids["group"]).items()}
        for account in changes.result_list:
            account.holder = holders.get(account.name, account.name)
        return changes

    @admin.display(description="whose", ordering="name")
    def whose(self, account: Any) -> str:
        return str(account.holder)

    @admin.display(description=Measure.MESSAGES_PER_MINUTE.words)
    def messages_per_minute(self, account: UsageAccount) -> str:
        return self._used(account, Measure.MESSAGES_PER_MINUTE)

    @admin.display(description=Measure.MESSAGES_PER_DAY.words)
    def messages_per_day(self, account: UsageAccount) -> str:
        return self._used(account, Measure.MESSAGES_PER_DAY)

    @admin.display(description=Measure.RUNNING_REPLIES.words, ordering="running")
    def running_replies(self, account: UsageAccount) -> str:
        return self._used(account, Measure.RUNNING_REPLIES)

    @admin.display(description=Measure.USD_PER_DAY.words)
    def usd_per_day(self, account: UsageAccount) -> str:
        return self._used(account, Measure.USD_PER_DAY)

    @admin.display(description=Measure.USD_PER_MONTH.words)
    def usd_per_month(self, account: UsageAccount) -> str:
        return self._used(account, Measure.USD_PER_MONTH)

    def _used(self, account: UsageAccount, measure: Measure) -> str:
        used = accounts.standing_of(account).used(measure, time.time())
        return format(used.quantize(Decimal("0.0001")).normalize(), "f") if used else "0"
