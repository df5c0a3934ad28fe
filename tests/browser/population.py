"""Run in a process of its own, by `conftest`: people who are signed in, and assistants whose prompts are cold."""

import json
import os
import sys
from typing import Any

import django

from tests.servers.mcp_server import DESCRIPTION, LOOK_UP

# Well above the smallest prefix that the model caches, well below anything that would slow a test down.
OTHER_MODELS = ("claude-opus-5-5", "claude-fable-5-2")
PROMPT = "You answer questions about the harbour of a small town, its ships and its weather. " * 120

OWN_TOOLS = ["calculator", "current_date"]
DAY = {
    "type": "object",
    "properties": {"day": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["day", "degrees"],
    "additionalProperties": False,
}
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "array", "items": DAY}},
    "required": ["city", "days"],
    "additionalProperties": False,
}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatapp.settings")
    django.setup()
    people, assistants = (int(number) for number in sys.argv[1:])
    made = {
        "people": [make_person(number) for number in range(people)],
        "assistants": [make_assistant(number) for number in range(assistants)],
        "of_models": {
            model: make_assistant(assistants + number, model=model, thinking="adaptive")
            for number, model in enumerate(OTHER_MODELS)
        },
        "of_tools": {
            "own": make_assistant(assistants + len(OTHER_MODELS), own_tools=OWN_TOOLS),
            "structured": make_assistant(
                assistants + len(OTHER_MODELS) + 1, own_tools=OWN_TOOLS, output_schema=WEATHER
            ),
            "of_another_server": make_assistant(
                assistants + len(OTHER_MODELS) + 2, mcp_tools=[make_tool(os.environ["WORDS_URL"])]
            ),
        },
    }
    json.dump(made, sys.stdout)


def make_person(number: int) -> dict[str, object]:
    """Signed in without a password: hashing one for each would take longer than all the tests that need them."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.sessions.backends.db import SessionStore

    from chatapp.models import User

    user = User(username=f"person-{number}")
    user.set_unusable_password()
    user.save()
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return {"id": user.pk, "username": user.username, "password": "", "session_key": session.session_key}


def make_assistant(
    number: int, *, model: str = "claude-sonnet-5-5", thinking: str = "between_tools", **fields: Any
) -> int:
    from chatapp.models import Assistant

    return Assistant.objects.create(
        name=f"Harbour {number}",
        slug=f"harbour-{number}",
        description="Knows the ships and the weather.",
        model=model,
        thinking=thinking,
        effort="low",
        system_prompt=f"You are number {number} of the harbour's assistants. {PROMPT}",
        **fields,
    ).pk


def make_tool(url: str) -> int:
    """Of an MCP server that an operator has looked at."""
    from chatapp.models import McpServer, McpTool
    from chatapp.tool_servers.definitions import defined, sent_name

    server = McpServer.objects.create(name="Words", prefix="words", url=url)
    tool = defined("look_up", DESCRIPTION, LOOK_UP)
    name = sent_name("words", tool.name)
    row = McpTool(server=server, name=tool.name, sent_name=name, definition=tool.definition, digest=tool.digest)
    row.save()
    return row.pk


if __name__ == "__main__":
    main()
