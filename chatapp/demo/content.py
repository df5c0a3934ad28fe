"""The demo's assistants as values, before they are rows."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from chatapp.demo import python_reference
from chatapp.models import OwnTool

GUIDE_FILES = ("README.md", "chatapp/PROTOCOL.md", "warmcache/README.md")

QUOTING = (
    "Answer from the documents. Quote the sentence that settles the question and name the document it stands in. "
    "Show a short example where one helps. Say so when the documents do not answer the question."
)

TO_DO_LIST = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "tasks": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "task": {"type": "string"},
                    "who": {"type": "string"},
                    "until": {"type": "string"},
                    "is_urgent": {"type": "boolean"},
                },
                "required": ["task", "is_urgent"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["title", "tasks"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AssistantSpec:
    """An assistant before it is a row. `documents` makes titles and texts, called only when they are needed."""

    slug: str
    fields: dict[str, Any]
    documents: Callable[[], list[tuple[str, str]]] = field(default=list)


def guide_documents() -> list[tuple[str, str]]:
    """This project's own documentation pages, as far as they exist."""
    paths = [(name, settings.BASE_DIR / name) for name in GUIDE_FILES]
    return [(name, path.read_text(encoding="utf-8")) for name, path in paths if path.is_file()]


ASSISTANTS = (
    AssistantSpec(
        slug="python-reference",
        fields={
            "name": "Python reference",
            "description": "Has read the Python language reference: about 60,000 tokens, worth keeping warm.",
            "suggestions": (
                "What is the difference between yield and yield from?\n"
                "How does a with statement find its exit method?\n"
                "Search documents for the default values of parameters: when are they evaluated?"
            ),
            "own_tools": [OwnTool.SEARCH_DOCUMENTS],
            "model": "claude-sonnet-5-5",
            "thinking": "between_tools",
            "effort": "low",
            "system_prompt": (
                "You help people with the Python language. Your documents are the language reference that ships with "
                "CPython, copyright Python Software Foundation, used under the PSF License Version 2. " + QUOTING
            ),
        },
        documents=python_reference.documents,
    ),
    AssistantSpec(
        slug="warmcache-guide",
        fields={
            "name": "Warmcache guide",
            "description": "Explains this very program from its own documentation.",
            "suggestions": (
                "How does a warm-up decide whether it pays?\n"
                "What happens when I press Enter?\n"
                "Calculator: what do 60000 tokens at 3.75 dollars per million cost? `60000 * 3.75 / 1000000`"
            ),
            "own_tools": [OwnTool.SEARCH_DOCUMENTS, OwnTool.CALCULATOR],
            "model": "claude-sonnet-5-5",
            "thinking": "between_tools",
            "effort": "low",
            "system_prompt": (
                "You explain Warmcache, a chat for Claude whose prompt cache is warm before the person presses Enter. "
                "Your documents are its own documentation. " + QUOTING
            ),
        },
        documents=guide_documents,
    ),
    AssistantSpec(
        slug="small-talk",
        fields={
            "name": "Small talk",
            "description": "No documents: its prompt is too short to be cached, so warming is skipped and says why.",
            "suggestions": "What would you do with a rainy Sunday?\nTell me something about barges.",
            "model": "claude-haiku-5-5",
            "system_prompt": (
                "You are good company: warm, brief, curious. Answer in a few sentences, in the person's language."
            ),
        },
    ),
    AssistantSpec(
        slug="to-do-list",
        fields={
            "name": "To-do list",
            "description": "Makes a table of what there is to do: its answers follow a JSON schema.",
            "suggestions": (
                "Repaint the boat before May, ask Ann for the key, and book the slipway.\n"
                "We fly three days after the current date: what is left to do until then?"
            ),
            "own_tools": [OwnTool.CURRENT_DATE],
            "output_schema": TO_DO_LIST,
            "model": "claude-haiku-5-5",
            "system_prompt": (
                "You turn what a person writes into a list of things to do, the most urgent first. "
                "Invent nothing: leave out who and when if the person does not say so."
            ),
        },
    ),
)
