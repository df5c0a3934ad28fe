"""The operator's pages of an assistant: what it is told, what that costs, and exactly what the model is sent."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count, QuerySet
from django.forms import BaseInlineFormSet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chatapp.conversations import attachments, documents_report, history_report, output_schemas, prompts, toolbox
from chatapp.models import Assistant, Document, McpTool, OwnTool
from chatapp.warming import assistant_layers, assistant_lint
from warmcache import Reason, WarmthState, bridge
from warmcache import services as warmcache
from warmcache.core.catalog import facts_for
from warmcache.core.prefix import Prompt
from warmcache.upstream.prices import rates_for
from warmcache.warmups.layer_report import lines_of, report_on
from warmcache.warmups.prefix_report import prefix_report
from warmcache.words import reason_text

MAX_DOCUMENT_BYTES = 4 * 1024 * 1024
MAX_DOCUMENTS_BYTES = 16 * 1024 * 1024
"""Of one assistant. At worst, a form takes three times as many bytes, which the body's limit leaves room for."""


class NoPatterns(admin.ModelAdmin):  # type: ignore[type-arg]
    """Refuses regular expressions in the address: one that the database cannot parse would be a server error."""

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        return not lookup.endswith("regex") and super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]


class DocumentForm(forms.ModelForm):  # type: ignore[type-arg]
    file = forms.FileField(
        required=False,
        label=_("File"),
        help_text=_("Text, Markdown or PDF: its text takes the place of what stands above."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["text"].required = False

    def clean(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().clean() or {}
        given = fields.get("file")
        try:
            text: str = (
                attachments.text_of(given.read(), max_chars=MAX_DOCUMENT_BYTES) if given else fields.get("text", "")
            )
        except attachments.AttachmentRefused as refused:
            raise ValidationError({"file": refused.message}) from refused
        if not text.strip():
            raise ValidationError({"text": gettext("A document needs a text, or a file with one.")})
        if (size_bytes := len(text.encode())) > MAX_DOCUMENT_BYTES:
            words = gettext("This document holds %(size)s, and may hold at most 4 MB.")
            raise ValidationError({"file" if given else "text": words % {"size": _megabytes(size_bytes)}})
        self.instance.text = fields["text"] = text
        return fields


class DocumentForms(BaseInlineFormSet):  # type: ignore[type-arg]
    """All documents of an assistant, with a limit for them together."""

    def clean(self) -> None:
        super().clean()
        filled = [getattr(form, "cleaned_data", {}) for form in self.forms]
        kept = [fields for fields in filled if not fields.get("DELETE")]
        size_bytes = sum(len(str(fields.get("text", "")).encode()) for fields in kept)
        if size_bytes > MAX_DOCUMENTS_BYTES:
            told = gettext(
                "The documents hold %(size)s together, and may hold at most 16 MB: more than any model can read."
            )
            raise ValidationError(told % {"size": _megabytes(size_bytes)})
        self._refuse_what_no_model_reads(sum(len(str(fields.get("text", ""))) for fields in kept))

    def _refuse_what_no_model_reads(self, document_chars: int) -> None:
        """No message would be answered. `instance`: the assistant as its own form has it."""
        length = documents_report.length_of(self.instance, document_chars=document_chars)
        if length.is_too_long and not self.instance.cuts_documents:
            told = gettext(
                "Instructions and documents hold about %(tokens)s tokens, and %(model)s reads at most %(most)s: "
                "shorten the documents, or switch on “%(switch)s” above."
            )
            told %= {
                "tokens": f"{length.tokens:,}",
                "model": length.model,
                "most": f"{length.most:,}",
                "switch": CUTS_DOCUMENTS.verbose_name,
            }
            raise ValidationError(told)


CUTS_DOCUMENTS = Assistant._meta.get_field("cuts_documents")


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1024**2:.1f} MB"


class DocumentInline(admin.StackedInline):  # type: ignore[type-arg]
    model = Document
    form = DocumentForm
    formset = DocumentForms
    extra = 0
    classes = ("collapse",)
    fields = ("title", "position", "text", "file")


MAX_SUGGESTIONS, MAX_SUGGESTION_CHARS = 6, 200


def mcp_tool_choices() -> list[tuple[int, str]]:
    """Those of servers that are switched off, too: they come back with their server."""
    return [(tool.pk, _described(tool)) for tool in McpTool.objects.select_related("server")]


def _described(tool: McpTool) -> str:
    notes = [] if tool.server.is_enabled else [gettext("its server is switched off")]
    notes += [gettext("changed, and not called until that is accepted")] if tool.changed_at else []
    return f"{tool.server}: {tool.name}" + (f" ({'; '.join(notes)})" if notes else "")


class AssistantForm(forms.ModelForm):  # type: ignore[type-arg]
    """Refuses what the API would refuse with every message. Of a model that is not known, everything is let through."""

    own_tools = forms.MultipleChoiceField(
        choices=[(value, _(label)) for value, label in OwnTool.choices],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=_("Tools of this chat"),
        help_text=Assistant._meta.get_field("own_tools").help_text,
    )

    mcp_tools = forms.TypedMultipleChoiceField(
        coerce=int,
        choices=mcp_tool_choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        label=Assistant._meta.get_field("mcp_tools").verbose_name,
        help_text=Assistant._meta.get_field("mcp_tools").help_text,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rates = rates_for(self.instance.model, 1) if self.instance.model else None
        searches = self.fields.get("max_web_searches")
        if rates is not None and searches is not None:
            price = gettext("One costs $%(usd)s, beside the tokens of its results.")
            searches.help_text = f"{searches.help_text} {price % {'usd': f'{rates.web_search.normalize():f}'}}"

    def clean_tools(self) -> Any:
        tools = self.cleaned_data["tools"] or []
        if problem := toolbox.problem_of_tools(tools):
            raise ValidationError(problem)
        return tools

    def clean_max_web_searches(self) -> int:
        return self.cleaned_data["max_web_searches"] or 0

    def clean_passage_tokens(self) -> int:
        """Empty: as many as a new assistant has."""
        return int(self.cleaned_data["passage_tokens"] or Assistant().passage_tokens)

    def clean_output_schema(self) -> Any:
        schema = self.cleaned_data["output_schema"] or None
        if schema is not None and (problem := output_schemas.problem_of_schema(schema)):
            raise ValidationError(problem)
        return schema

    def clean_suggestions(self) -> str:
        lines = [line for line in map(str.strip, self.cleaned_data["suggestions"].splitlines()) if line]
        if len(lines) > MAX_SUGGESTIONS or any(len(line) > MAX_SUGGESTION_CHARS for line in lines):
            told = gettext("At most %(lines)d lines, of %(chars)d characters each.")
            raise ValidationError(told % {"lines": MAX_SUGGESTIONS, "chars": MAX_SUGGESTION_CHARS})
        return "\n".join(lines)

    def clean(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().clean() or {}
        for name in ("tools", "output_schema"):
            if name in fields and _has_nul(fields[name]):
                self.add_error(name, gettext("A text in it holds a NUL character, which no database keeps."))
        of_servers = McpTool.objects.filter(pk__in=fields.get("mcp_tools") or []).values_list("sent_name", flat=True)
        if doubled := {tool.get("name") for tool in fields.get("tools") or []} & set(of_servers):
            told = gettext("A tool of an MCP server has the name “%(name)s” already.")
            self.add_error("tools", told % {"name": doubled.pop()})
        facts = facts_for(fields.get("model", ""))
        for name, accepted in (("effort", facts.efforts), ("thinking", facts.thinking)):
            chosen = fields.get(name)
            if facts.known and chosen and chosen not in accepted:
                allowed = ", ".join(str(label) for value, label in self.fields[name].choices if value in accepted)  # type: ignore[attr-defined]
                told = gettext("%(model)s takes %(allowed)s here: leave it to the model's default.")
                self.add_error(name, told % {"model": facts.model, "allowed": allowed or gettext("none")})
        return fields


def _has_nul(value: Any) -> bool:
    match value:
        case str():
            return "\0" in value
        case dict():
            return any(_has_nul(each) for item in value.items() for each in item)
        case list():
            return any(map(_has_nul, value))
    return False


class RetiredFilter(admin.SimpleListFilter):
    title = _("in use")
    parameter_name = "retired"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", gettext("offered to people")), ("yes", gettext("retired"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Assistant]) -> QuerySet[Assistant]:
        match self.value():
            case "no":
                return queryset.filter(retired_at=None)
            case "yes":
                return queryset.exclude(retired_at=None)
            case _:
                return queryset


@admin.register(Assistant)
class AssistantAdmin(NoPatterns):
    list_display = ("name", "model", "thinking", "shared_ttl", "document_count", "is_default", "retired_at")
    list_filter = (RetiredFilter, "model", "is_default")
    form = AssistantForm
    search_fields = ("name", "slug", "description", "model")
    prepopulated_fields = {"slug": ("name",)}  # noqa: RUF012  Django's own way to declare it
    inlines = (DocumentInline,)
    actions = ("warm_now", "bring_back")
    readonly_fields = ("prefix", "shared_layer", "document_costs", "long_histories", "retired_at")
    fieldsets = (
        (None, {"fields": ("name", "slug", "description", "suggestions", "is_default", "retired_at")}),
        (_("What it is told"), {"fields": ("system_prompt",)}),
        (_("Model"), {"fields": ("model", "thinking", "effort", "max_output_tokens")}),
        (_("Prompt cache"), {"fields": ("shared_ttl", "conversation_ttl", "prefix", "shared_layer")}),
        (_("Long documents"), {"fields": ("cuts_documents", "passage_tokens", "document_costs")}),
        (_("Long conversations"), {"fields": ("summarise_above_tokens", "long_histories")}),
        (
            _("Tools and format"),
            {
                "classes": ("collapse",),
                "fields": ("own_tools", "mcp_tools", "max_web_searches", "tools", "output_schema"),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Assistant]:
        return super().get_queryset(request).annotate(documents_in_all=Count("documents"))

    def save_model(self, request: HttpRequest, obj: Assistant, form: Any, change: bool) -> None:
        """A new default takes the place of the old one."""
        super().save_model(request, obj, form, change)
        if obj.is_default:
            Assistant.objects.exclude(pk=obj.pk).update(is_default=False)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """Counts, where Django's own would list titles of other people's chats."""
        found = list(objs)
        used = {each.pk for each in found if each.conversations.exists()}
        words = [
            gettext("%(assistant)s: is retired, because conversations use it") % {"assistant": each}
            if each.pk in used
            else str(each)
            for each in found
        ]
        counts = {
            gettext("assistants"): len(found) - len(used),
            gettext("documents"): Document.objects.filter(assistant__in=found).exclude(assistant__in=used).count(),
        }
        missing = set() if self.has_delete_permission(request) else {"assistant"}
        return words, counts, missing, []

    def delete_model(self, request: HttpRequest, obj: Assistant) -> None:
        """Retires it while conversations use it: they go on, and nobody begins another one."""
        if obj.conversations.exists():
            obj.retired_at, obj.is_default = obj.retired_at or timezone.now(), False
            obj.save(update_fields=["retired_at", "is_default", "updated_at"])
            told = gettext("%(assistant)s is retired, because conversations use it.") % {"assistant": obj}
            self.message_user(request, told, messages.WARNING)
        else:
            obj.delete()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Assistant]) -> None:
        for assistant in queryset:
            self.delete_model(request, assistant)

    @admin.action(description=_("Bring back what is retired"), permissions=["change"])
    def bring_back(self, request: HttpRequest, queryset: QuerySet[Assistant]) -> None:
        for assistant in queryset.exclude(retired_at=None):
            assistant.retired_at = None
            assistant.save(update_fields=["retired_at", "updated_at"])

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.prefix_page)
        return [path("<int:object_id>/prefix/", page, name="chatapp_assistant_prefix"), *super().get_urls()]

    @admin.display(description=_("what the model is sent"))
    def prefix(self, assistant: Assistant) -> SafeString | str:
        if not assistant.pk:
            return "-"
        address = reverse("admin:chatapp_assistant_prefix", args=[assistant.pk])
        return format_html(
            '<a href="{}">{}</a>',
            address,
            gettext("The exact prefix, its tokens, what one warm-up costs, and warnings"),
        )

    def prefix_page(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """GET shows it, GET with `raw` gives its bytes, POST warms it."""
        assistant = self.get_object(request, str(object_id))
        if assistant is None or not self.has_view_permission(request, assistant):
            raise PermissionDenied
        if request.method == "POST":
            if not self.has_change_permission(request, assistant):
                raise PermissionDenied
            self.warm_now(request, Assistant.objects.filter(pk=object_id))
            return HttpResponseRedirect(request.path)
        prompt = prompts.prompt_for_new_chat(assistant)
        report = bridge.call(prefix_report, prompt, label=assistant.slug)
        if "raw" in request.GET:
            return HttpResponse(report.body, content_type="application/json")
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("What the model is sent for %(assistant)s") % {"assistant": assistant},
            "opts": self.opts,
            "assistant": assistant,
            "report": report,
            "of_documents": list(documents_report.lines_of(assistant)),
            "obstacle": reason_text(report.obstacle or ""),
            "findings": assistant_lint.findings_in(assistant),
            "body": report.body.decode(),
            "may_warm": self.has_change_permission(request, assistant),
        }
        return TemplateResponse(request, "admin/chatapp/assistant/prefix.html", context)

    @admin.display(description=_("documents"), ordering="documents_in_all")
    def document_count(self, assistant: Any) -> int:
        return int(assistant.documents_in_all)

    @admin.display(description=_("shared by everybody"))
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

    @admin.display(description=_("what the documents cost"))
    def document_costs(self, assistant: Assistant) -> SafeString | str:
        """Whole from the shared cache, and cut per question."""
        lines = list(documents_report.lines_of(assistant)) if assistant.pk else []
        return format_html("<dl>{}</dl>", format_html_join("", "<dt>{}</dt><dd>{}</dd>", lines)) if lines else "-"

    @admin.display(description=_("what a history costs"))
    def long_histories(self, assistant: Assistant) -> SafeString | str:
        """With each turn, and what summaries of it do."""
        if not assistant.pk:
            return "-"
        return format_html(
            "<dl>{}</dl>", format_html_join("", "<dt>{}</dt><dd>{}</dd>", history_report.lines_of(assistant))
        )

    @admin.action(description=_("Warm now"), permissions=["change"])
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
            told = (
                gettext("%(assistant)s was warm already: about %(tokens)s tokens.")
                if warmth.reason is Reason.ALREADY_WARM
                else gettext("%(assistant)s is warm: about %(tokens)s tokens.")
            )
            if warmth.expires_at is not None:
                until = gettext("Until about %(time)s.") % {"time": _time(warmth.expires_at)}
                told = f"{told} {until}"
            return told % {"assistant": assistant, "tokens": f"{warmth.prefix_tokens:,}"}, messages.SUCCESS
        case WarmthState.WARMING:
            told = gettext("%(assistant)s is being warmed; the warm-ups tell how it ends.")
            return told % {"assistant": assistant}, messages.INFO
        case WarmthState.FAILED:
            told = gettext("%(assistant)s could not be warmed: %(why)s.")
            return told % {"assistant": assistant, "why": reason_text(warmth.reason or "")}, messages.ERROR
        case _:
            told = gettext("%(assistant)s was not warmed: %(why)s.")
            return told % {"assistant": assistant, "why": reason_text(warmth.reason or "")}, messages.WARNING


def _time(epoch_seconds: float) -> str:
    return date_format(localtime(datetime.fromtimestamp(epoch_seconds, tz=UTC)), "H:i:s")
