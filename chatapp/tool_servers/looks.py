"""What an operator has looked at: the stored definitions, and how the server's present ones differ. In a database
thread."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from chatapp.models import McpServer, McpTool
from chatapp.tool_servers.contacts import Listing
from chatapp.tool_servers.definitions import Definition, sent_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How many tools are new, and the names of those that wait until their change is accepted."""

    added: int
    changed: list[str]


def note_listing(server: McpServer, listing: Listing) -> Found:
    """New tools are stored: no assistant has them yet. What differs from what is stored is kept beside it."""
    with transaction.atomic():
        known = {tool.name: tool for tool in McpTool.objects.select_for_update().filter(server=server)}
        taken = {tool.sent_name for tool in known.values()}
        new = [each for name, each in listing.tools.items() if name not in known]
        for each in new:
            name = sent_name(server.prefix, each.name, taken=taken)
            taken.add(name)
            McpTool.objects.create(
                server=server, name=each.name, sent_name=name, definition=each.definition, digest=each.digest
            )
        for tool in known.values():
            note_definition(tool, listing.tools.get(tool.name))
        McpServer.objects.filter(pk=server.pk).update(looked_at=timezone.now())
    changed = McpTool.objects.filter(server=server).exclude(changed_at=None)
    return Found(added=len(new), changed=list(changed.values_list("name", flat=True)))


def note_definition(tool: McpTool, found: Definition | None) -> None:
    """How the server defines it now; None: no longer. Where that is another definition, the tool is not called until an
    operator has accepted it. What models are told stays as it is, and their caches with it."""
    is_same = found is not None and found.digest == tool.digest
    other = None if is_same or found is None else dict(found.definition)
    if is_same == (tool.changed_at is None) and other == tool.found:
        return
    McpTool.objects.filter(pk=tool.pk).update(changed_at=None if is_same else timezone.now(), found=other)


def accept(server: McpServer, digests: Mapping[int, str]) -> int:
    """Takes the changed definitions that an operator has seen (`digests`: by tool) in place of the stored ones, and
    deletes what is gone. One that has changed again since then stays as it is. Returns how many were accepted."""
    accepted = 0
    with transaction.atomic():
        changed = McpTool.objects.select_for_update().filter(server=server).exclude(changed_at=None)
        for tool in changed:
            if digests.get(tool.pk) != digest_of_change(tool):
                continue
            accepted += 1
            if tool.found is None:
                tool.delete()
                continue
            tool.definition, tool.digest = tool.found, digest_of_change(tool)
            tool.changed_at = tool.found = None
            tool.save()
    return accepted


def digest_of_change(tool: McpTool) -> str:
    """Of what the server defines now; empty if it does no longer."""
    return "" if tool.found is None else Definition(name=tool.name, definition=tool.found).digest
