"""The operator's view of people, assistants and conversations. Lists show no text of a conversation."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from chatapp.models import Assistant, Attachment, Conversation, Document, Message, User

admin.site.site_header = "Warmcache"
admin.site.site_title = "Warmcache"
admin.site.index_title = "Administration"
admin.site.register(User, UserAdmin)


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Shown, and deleted one by one where a person asks for it; never written by hand."""

    # Also because the boxes that select rows are labelled with their titles.
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class DocumentInline(admin.StackedInline):  # type: ignore[type-arg]
    model = Document
    extra = 0
    classes = ("collapse",)
    fields = ("title", "position", "text")


@admin.register(Assistant)
class AssistantAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "model", "thinking", "shared_ttl", "document_count", "is_default", "updated_at")
    list_filter = ("model", "is_default")
    search_fields = ("name", "slug", "description", "model")
    prepopulated_fields = {"slug": ("name",)}  # noqa: RUF012  Django's own way to declare it
    inlines = (DocumentInline,)
    fieldsets = (
        (None, {"fields": ("name", "slug", "description", "is_default")}),
        ("What it is told", {"fields": ("system_prompt",)}),
        ("Model", {"fields": ("model", "thinking", "effort", "max_output_tokens")}),
        ("Prompt cache", {"fields": ("shared_ttl", "conversation_ttl")}),
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
    show_full_result_count = False


@admin.register(Attachment)
class AttachmentAdmin(ReadOnlyAdmin):
    list_display = ("id", "user", "created_at", "message")
    search_fields = ("id", "user__username")
    list_select_related = ("user", "message")
