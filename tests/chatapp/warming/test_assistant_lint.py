"""What silently breaks caching is found, with its line."""

import pytest

from chatapp.warming.assistant_lint import findings_in
from tests.factories import make_assistant, make_user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("Today is {{ today }}.", "a place where something is put in"),
        ("Session 0b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d", "a UUID"),
        ("Printed 2026-11-29 06:00", "a moment"),
        ("As of November 29, 2026", "a date"),
        ("The current time matters.", "talk of the present day"),
        ("You talk to ann.green today.", "the name of a person"),
    ],
)
def test_what_changes_is_found_with_its_line(line, what):
    make_user("ann.green")
    assistant = make_assistant(system_prompt=f"You help.\nAlways.\n{line}")

    (finding,) = findings_in(assistant)

    assert (finding.where, finding.line, finding.what) == ("the instructions", 3, what)
    assert finding.excerpt in line


def test_documents_are_looked_at_and_so_is_their_order():
    assistant = make_assistant(documents=("One.", "As of 2026-11-29"))
    assistant.documents.update(position=4)

    assert [(each.where, each.what) for each in findings_in(assistant)] == [
        ("Document 1", "a date"),
        ("the documents", "an order that may change"),
    ]


def test_plain_instructions_are_clean():
    assert findings_in(make_assistant(system_prompt="You help.\nAnswer in 3 to 4 lines.", documents=("A: b.",))) == []


def test_tools_are_looked_at_and_so_is_their_order():
    tools = [
        {"name": "search", "description": "Find.\nToday is 2026-11-29."},
        {"name": "add", "input_schema": {"type": "object", "properties": {}}},
        {"type": "web_search_20250305"},
    ]

    found = findings_in(make_assistant(tools=tools))
    none = findings_in(make_assistant(tools=[{"name": "add"}, {"name": "search"}]))

    assert [(each.where, each.line, each.what) for each in found] == [
        ("the tool search", 1, "a date"),
        ("the tools", 2, "an order that may change"),
    ]
    assert none == []
