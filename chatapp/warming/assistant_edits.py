"""Counts edits of assistants and documents, so that values read before an edit are known to be stale.

The count for all processes is in the assistant's row (`revision`). A second count is in this process's memory, for code
that does not ask the database: it notices an edit in another process only when its own time limit expires.
"""

import functools
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.signals import post_delete, post_save

from chatapp.models import Assistant, Document, McpServer, McpTool
from chatapp.warming import assistant_layers
from warmcache.services import count_soon

_count = 0


def count() -> int:
    """Grows with every edit; equal counts mean that nothing was edited in between."""
    return _count


def watch() -> None:
    """Called once, when Django is ready."""
    for model in (Assistant, Document):
        for signal in (post_save, post_delete):
            signal.connect(_note, sender=model, dispatch_uid=f"assistant edits {model.__name__} {id(signal)}")
    for signal in (post_save, post_delete):
        signal.connect(_note_tool, sender=McpTool, dispatch_uid=f"assistant edits McpTool {id(signal)}")
    # The tools of a deleted server are deleted before it.
    post_save.connect(_note_server, sender=McpServer, dispatch_uid="assistant edits McpServer")


def _note(instance: Assistant | Document, **_: Any) -> None:
    _note_edit(instance.assistant_id if isinstance(instance, Document) else instance.pk)


def _note_tool(instance: McpTool, *, created: bool = False, **_: Any) -> None:
    """No assistant has a new one."""
    if not created:
        _note_edits_of_users([instance.pk])


def _note_server(instance: McpServer, **_: Any) -> None:
    _note_edits_of_users(McpTool.objects.filter(server=instance).values_list("pk", flat=True))


def _note_edits_of_users(tool_ids: Iterable[int]) -> None:
    changed = set(tool_ids)
    for assistant_id, used in Assistant.objects.exclude(mcp_tools=[]).values_list("pk", "mcp_tools"):
        if not changed.isdisjoint(used):
            _note_edit(assistant_id)


def _note_edit(assistant_id: int) -> None:
    Assistant.objects.filter(pk=assistant_id).update(revision=F("revision") + 1)
    # Whatever is read before the commit is still the old text.
    transaction.on_commit(add_one)
    transaction.on_commit(functools.partial(_have_counted, assistant_id))


def add_one() -> None:
    """What sockets of this process have outlined is looked at anew, also for a person's standing instructions."""
    global _count
    _count += 1


def _have_counted(assistant_id: int) -> None:
    slug = Assistant.objects.filter(pk=assistant_id).values_list("slug", flat=True).first()
    if slug is not None:
        count_soon(assistant_layers.layer_of(assistant_id, slug))
