"""The tools of an assistant as its prompt names them: those that this chat runs, the one that takes a structured
answer, and the provider's search. They stand at the very beginning of the prompt: a change of one makes all of it cold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext

from chatapp.models import Assistant, McpTool, OwnTool
from warmcache.core.answers import parsed_input
from warmcache.core.prefix import Json

RESULT = "tool_result"
"""The type of a block in a reply's row that the chat added: what a tool of its own gave."""
NOTE = "chat.note"
"""As `RESULT`: what the model was told besides, in the person's place."""
ANSWER = "chat.answer"
"""As `RESULT`, but never sent: the structured answer that was found in the text before it."""

CONSENT = "chat.consent"
"""As `ANSWER`: that a person was asked whether a tool of another server may be called."""
CONSENTED = "chat.consented"
"""As `ANSWER`: what the person said."""
UNSENT = frozenset({ANSWER, CONSENT, CONSENTED})

ANSWER_TOOL = "structured_answer"
WEB_SEARCH_TOOL = "web_search"
WEB_SEARCH_TYPE = "web_search_20250305"

RESERVED_NAMES = frozenset({*OwnTool.values, ANSWER_TOOL, WEB_SEARCH_TOOL})
"""No definition of the operator's may have one of these names."""

ANSWER_INSTRUCTION = (
    f"Give the answer to the person by calling the tool `{ANSWER_TOOL}`, once, when you have all that it asks for. "
    "The person sees what you give to this tool, laid out; do not repeat it as text."
)

OWN_DEFINITIONS: Mapping[str, Json] = {
    OwnTool.SEARCH_DOCUMENTS: {
        "name": OwnTool.SEARCH_DOCUMENTS,
        "description": (
            "Finds the passages of this assistant's documents that share the most words with a query, and returns them "
            "word for word, each with the title of its document. It compares words, not meanings: ask with words that "
            "the documents use."
        ),
        "input_schema": {
            "type": "object",
            "properties": {"query": {"type": "string", "description": "Some telling words."}},
            "required": ["query"],
            "additionalProperties": False,
        },
    },
    OwnTool.CALCULATOR: {
        "name": OwnTool.CALCULATOR,
        "description": (
            "Computes an arithmetic expression to 50 digits. It knows + - * / // % ^, parentheses, the functions sqrt, "
            "abs, round, floor, ceil, min, max, exp, ln and log10, and the constants pi and e."
        ),
        "input_schema": {
            "type": "object",
            "properties": {"expression": {"type": "string", "description": "For example (17.5 + 3) * 2^10."}},
            "required": ["expression"],
            "additionalProperties": False,
        },
    },
    OwnTool.CURRENT_DATE: {
        "name": OwnTool.CURRENT_DATE,
        "description": "Tells the date, the weekday and the time now, by the clock of the server of this chat.",
        "input_schema": {
            "type": "object",
            "properties": {
                "timezone": {"type": "string", "description": "An IANA name such as Europe/Paris. Left out: UTC."}
            },
            "additionalProperties": False,
        },
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolbox:
    """What this chat does for an assistant's answers."""

    assistant_id: int = 0
    own: frozenset[str] = field(default_factory=frozenset)
    """Names of the tools that it runs."""
    mcp: Mapping[str, int] = field(default_factory=dict)
    """Those of other servers: the row of each name."""
    output_schema: Json | None = None
    """Of a structured answer, if one is asked for."""

    def takes(self, name: str) -> bool:
        """Whether a call of this tool is answered here."""
        return name in self.own or name in self.mcp or (name == ANSWER_TOOL and self.output_schema is not None)

    @property
    def is_empty(self) -> bool:
        """Whether it runs no tool."""
        return not self.own and not self.mcp


NO_TOOLS = Toolbox()


def of(assistant: Assistant) -> Toolbox:
    """Of a row with its long texts."""
    return Toolbox(
        assistant_id=assistant.pk,
        own=frozenset(assistant.own_tools) & frozenset(OwnTool.values),
        mcp={tool.sent_name: tool.pk for tool in _mcp_tools(assistant)},
        output_schema=assistant.output_schema or None,
    )


def answer_in(content: Sequence[Json]) -> Json | None:
    """The structured answer in the content of a reply's row, if it has one that fits."""
    refused = {block.get("tool_use_id") for block in content if block.get("is_error")}
    for block in reversed(content):
        if block.get("type") == ANSWER:
            return block.get("answer")
        if block.get("name") == ANSWER_TOOL and block.get("id") not in refused:
            return parsed_input(block.get("input_json", ""))
    return None


def problem_of_tools(tools: Any) -> str | None:
    """Why these cannot be an operator's definitions, in a sentence; None if they can."""
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        return gettext("Tools are a list of definitions, each of them an object.")
    names = [str(tool.get("name", "")) for tool in tools]
    for name in names:
        if name in RESERVED_NAMES:
            return gettext("%(name)r is a tool that this page has a switch for.") % {"name": name}
        if names.count(name) > 1:
            return gettext("Two tools have the name %(name)r.") % {"name": name}
    return None


def definitions(assistant: Assistant) -> Sequence[Json]:
    """In one order, whatever the order in which they were chosen."""
    own = [OWN_DEFINITIONS[name] for name in OwnTool.values if name in assistant.own_tools]
    searches = assistant.max_web_searches
    web = [{"type": WEB_SEARCH_TYPE, "name": WEB_SEARCH_TOOL, "max_uses": searches}] if searches else []
    answer = [_answer_tool(assistant.output_schema)] if assistant.output_schema else []
    others = [tool.as_sent for tool in _mcp_tools(assistant)]
    return [*own, *assistant.tools, *others, *answer, *web]


def _mcp_tools(assistant: Assistant) -> Sequence[McpTool]:
    """As they were defined when an operator looked: no server is asked, so that the prompt stays as it is."""
    if not assistant.mcp_tools:
        return []
    return list(McpTool.objects.filter(pk__in=assistant.mcp_tools, server__is_enabled=True).order_by("sent_name"))


def _answer_tool(schema: Json) -> Json:
    return {
        "name": ANSWER_TOOL,
        "description": "Takes the answer to the person's question. It is shown to the person, laid out.",
        "input_schema": schema,
        "strict": True,
    }
