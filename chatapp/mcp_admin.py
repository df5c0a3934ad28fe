"""The operator's pages of MCP servers: where they are, which tools they have, and what has changed there."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext, override
from django.utils.translation import gettext_lazy as _

from chatapp.assistants_admin import NoPatterns
from chatapp.models import McpServer, McpTool
from chatapp.tool_servers import looks, servers
from chatapp.tool_servers.addresses import Refused, problem_of_url
from chatapp.tool_servers.contacts import Listing, problem_of_header, problem_of_secret
from warmcache import bridge


class McpServerForm(forms.ModelForm):  # type: ignore[type-arg]
    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"].strip()
        if problem := problem_of_url(url, private_hosts=settings.MCP_PRIVATE_HOSTS):
            raise ValidationError(problem)
        return url

    def clean(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().clean() or {}
        header, variable = fields.get("header", "").strip(), fields.get("secret_variable", "").strip()
        if problem := problem_of_header(header, variable):
            self.add_error("secret_variable" if header else "header", problem)
        return {**fields, "header": header, "secret_variable": variable}


@admin.register(McpServer)
class McpServerAdmin(NoPatterns):
    list_display = ("name", "url", "is_enabled", "tool_count", "looked_at", "trouble")
    form = McpServerForm
    actions = ("look_at_tools",)
    readonly_fields = ("its_tools", "trouble", "looked_at")
    fields = ("name", "prefix", "url", "header", "secret_variable", "is_enabled", "trouble", "its_tools", "looked_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[McpServer]:
        changed = Count("tools", filter=~Q(tools__changed_at=None))
        return super().get_queryset(request).annotate(tools_in_all=Count("tools"), tools_changed=changed)

    def get_readonly_fields(self, request: HttpRequest, obj: McpServer | None = None) -> Any:
        """The names of its tools are in prompts, and begin with it."""
        return (*super().get_readonly_fields(request, obj), *(("prefix",) if obj is not None else ()))

    def save_model(self, request: HttpRequest, obj: McpServer, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if problem := problem_of_secret(obj):
            self.message_user(request, problem, messages.WARNING)

    @admin.display(description=_("tools"), ordering="tools_in_all")
    def tool_count(self, server: Any) -> int:
        return int(server.tools_in_all)

    @admin.display(description=_("trouble"))
    def trouble(self, server: Any) -> str:
        changed = getattr(server, "tools_changed", 0)
        of_changes = gettext("Tools that have changed, and are not called until you accept that: %(count)d.")
        told = [
            problem_of_url(server.url, private_hosts=settings.MCP_PRIVATE_HOSTS) if server.url else None,
            problem_of_secret(server),
            of_changes % {"count": changed} if changed else None,
        ]
        return " ".join(each for each in told if each) or "-"

    @admin.display(description=_("its tools"))
    def its_tools(self, server: McpServer) -> SafeString | str:
        if not server.pk:
            return "-"
        address = reverse("admin:chatapp_mcpserver_tools", args=[server.pk])
        told = gettext("What models are told of them, and what has changed")
        return format_html('<a href="{}">{}</a>', address, told)

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.tools_page)
        return [path("<int:object_id>/tools/", page, name="chatapp_mcpserver_tools"), *super().get_urls()]

    def tools_page(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """GET shows what is stored; POST asks the server, or with `accept` takes what has changed."""
        server = self.get_object(request, str(object_id))
        if server is None or not self.has_view_permission(request, server):
            raise PermissionDenied
        if request.method == "POST":
            if not self.has_change_permission(request, server):
                raise PermissionDenied
            self._accept(request, server) if "accept" in request.POST else self._look(request, server)
            return HttpResponseRedirect(request.path)
        tools = list(McpTool.objects.filter(server=server))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Tools of %(server)s") % {"server": server},
            "opts": self.opts,
            "server": server,
            "tools": tools,
            "changes": [(tool, looks.digest_of_change(tool)) for tool in tools if tool.changed_at is not None],
            "may_change": self.has_change_permission(request, server),
        }
        return TemplateResponse(request, "admin/chatapp/mcpserver/tools.html", context)

    @admin.action(description=_("Look at its tools"), permissions=["change"])
    def look_at_tools(self, request: HttpRequest, queryset: QuerySet[McpServer]) -> None:
        for server in queryset:
            self._look(request, server)

    def _look(self, request: HttpRequest, server: McpServer) -> None:
        try:
            listing = bridge.call(_listed, server, language=get_language())
        except Refused as refused:
            self.message_user(request, f"{server}: {refused}", messages.ERROR)
            return
        found = looks.note_listing(server, listing)
        for problem in listing.problems:
            words = gettext("%(server)s: %(problem)s No model is told of it.") % {"server": server, "problem": problem}
            self.message_user(request, words, messages.WARNING)
        if found.changed:
            words = gettext("%(server)s: accept what has changed, or it is not called: %(tools)s.")
            words %= {"server": server, "tools": ", ".join(found.changed)}
            self.message_user(request, words, messages.WARNING)
        words = ngettext(
            "%(server)s has %(count)d tool that a model may be told of, new: %(added)d.",
            "%(server)s has %(count)d tools that a model may be told of, %(added)d of them new.",
            len(listing.tools),
        )
        words %= {"server": server, "count": len(listing.tools), "added": found.added}
        self.message_user(request, words, messages.SUCCESS)

    def _accept(self, request: HttpRequest, server: McpServer) -> None:
        seen = {
            int(name.removeprefix("seen-")): digest
            for name, digest in request.POST.items()
            if name.removeprefix("seen-").isdecimal() and name.startswith("seen-") and isinstance(digest, str)
        }
        accepted = looks.accept(server, seen)
        self.log_change(request, server, f"Accepted {accepted} changed definitions.")
        words = gettext("Accepted: %(count)d. People are asked anew before such a tool is called.")
        self.message_user(request, words % {"count": accepted})


async def _listed(server: McpServer, *, language: str | None) -> Listing:
    """What is wrong is told in this language: an event loop has none of its own."""
    with override(language):
        return await servers.tools_of(server)
