"""The shared layers of the chat: one per assistant."""

import functools

from chatapp.conversations import prompts
from chatapp.models import Assistant
from warmcache.core.prefix import Prompt
from warmcache.services import SharedLayer


def listed() -> list[SharedLayer]:
    """One layer per assistant that is not retired; its documents and instructions are read only when needed."""
    return [layer_of(pk, slug) for pk, slug in Assistant.objects.filter(retired_at=None).values_list("pk", "slug")]


def layer_of(assistant_id: int, slug: str) -> SharedLayer:
    return SharedLayer(label=slug, load=functools.partial(_load, assistant_id))


def _load(assistant_id: int) -> Prompt | None:
    assistant = Assistant.objects.filter(pk=assistant_id).first()
    return None if assistant is None else prompts.prompt_for_new_chat(assistant)
