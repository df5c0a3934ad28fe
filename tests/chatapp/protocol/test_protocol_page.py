"""PROTOCOL.md says what protocol/frames.py is: every frame, field, code, timing and limit, and no other."""

import ast
import re
from enum import StrEnum
from pathlib import Path

import msgspec
import pytest
from django.conf import settings

import chatapp
from chatapp import protocol
from chatapp.protocol import limits, views
from chatapp.protocol.words import ErrorCode, ReplyFailure
from chatapp.replies import log, logs
from chatapp.socket import history
from warmcache.core.failures import Failure
from warmcache.core.wording import Worded

ROOT = Path(chatapp.__file__).parent
PAGE = (ROOT / "PROTOCOL.md").read_text()
CLIENT_FRAMES = {frame.__struct_config__.tag: frame for frame in protocol.ClientFrame.__subclasses__()}
SERVER_FRAMES = {frame.__struct_config__.tag: frame for frame in protocol.ServerFrame.__subclasses__()}
PARTS = {
    name: part
    for name, part in (vars(protocol) | vars(views)).items()
    if isinstance(part, type)
    and issubclass(part, msgspec.Struct)
    and not issubclass(part, protocol.ClientFrame | protocol.ServerFrame)
}
NAMED = CLIENT_FRAMES | SERVER_FRAMES | PARTS


def section(title: str, level: int = 2) -> str:
    """The text under a heading, up to the next one of its level."""
    marks = "#" * level
    found = re.search(rf"^{marks} {re.escape(title)}\n(.*?)(?=^#{{2,{level}}} |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"PROTOCOL.md has no section {title!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """Table rows as cells, without heads and rules."""
    lines = [line for line in text.splitlines() if re.match(r"\| [`\d]", line)]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def headings_in(title: str) -> set[str]:
    return set(re.findall(r"^### `([^`]+)`$", section(title), re.MULTILINE))


def members_named(path: Path, closed_set: type[Worded]) -> set[str]:
    """The members of a closed set that a module names."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)]
    return {closed_set[node.attr].value for node in nodes if getattr(node.value, "id", "") == closed_set.__name__}


def modules() -> list[Path]:
    return [path for path in ROOT.rglob("*.py") if "migrations" not in path.parts]


def test_every_frame_stands_on_the_page_on_its_side_and_no_other():
    assert headings_in("Browser to server") == set(CLIENT_FRAMES)
    assert headings_in("Server to browser") == set(SERVER_FRAMES)
    assert headings_in("Parts of frames") == set(PARTS)


@pytest.mark.parametrize("name", NAMED)
def test_every_field_of_a_frame_stands_on_the_page_and_no_other(name):
    told = [cells[0] for cells in rows(section(f"`{name}`", level=3))]

    assert sorted(told) == sorted(NAMED[name].__struct_encode_fields__)


@pytest.mark.parametrize("name", [*CLIENT_FRAMES, "Cursor"])
def test_a_field_is_called_required_where_it_is(name):
    told = {cells[0] for cells in rows(section(f"`{name}`", level=3)) if "required" in cells[1]}
    fields = msgspec.structs.fields(NAMED[name])

    assert told == {field.encode_name for field in fields if field.required}


def test_every_word_of_a_closed_list_stands_on_the_page():
    for name, frame in SERVER_FRAMES.items():
        for field in msgspec.structs.fields(frame):
            is_set = isinstance(field.type, type) and issubclass(field.type, StrEnum)
            for word in field.type if is_set else getattr(field.type, "__args__", ()):
                if isinstance(word, str):
                    assert word in section(f"`{name}`", level=3) or word in PAGE, (name, field.name, word)


def test_every_close_code_stands_on_the_page_and_reserved_ones_are_not_sent():
    constants = {name: code for name, code in vars(protocol).items() if name.startswith("CLOSE_")}
    sources = "".join(path.read_text() for path in modules() if path.name != "frames.py")
    told = {int(cells[0]): cells for cells in rows(section("Close codes"))}

    assert set(told) == set(constants.values())
    for name, code in constants.items():
        assert told[code][1] == name.removeprefix("CLOSE_").replace("_", " ").lower()
        assert (told[code][2] == "reserved") is (name not in sources), name


def test_every_error_code_that_the_chat_gives_stands_on_the_page():
    refusals, failures = section("Errors").split("In `reply.finished`")
    emitted = set().union(*(members_named(path, ErrorCode) for path in modules()))

    assert {cells[0] for cells in rows(refusals)} == emitted == set(ErrorCode)
    assert {cells[0] for cells in rows(failures)} == {*Failure, *ReplyFailure}


def test_retryable_is_told_as_it_is():
    refusals, failures = ({c[0]: c[1] for c in rows(part)} for part in section("Errors").split("In `reply.finished`"))

    for told, codes in ((refusals, ErrorCode), (failures, Failure), (failures, ReplyFailure)):
        assert {code: told[code] for code in codes} == {code: "yes" if code.is_retryable else "no" for code in codes}


@pytest.mark.parametrize(("head", "values"), [("timing", limits.TIMINGS), ("limit", limits.LIMITS)])
def test_every_timing_and_limit_stands_on_the_page_with_its_value(head, values):
    tables = re.split(r"^\| (?=timing|limit)", section("Timings and limits"), flags=re.MULTILINE)[1:]
    table = next(table for table in tables if table.startswith(head))

    assert {cells[0]: int(cells[1]) for cells in rows(table)} == values


def test_the_numbers_in_the_text_are_the_code_s():
    assert f"{limits.STRIKES_TO_CLOSE + 1}st in a row" in PAGE
    assert f"the last {logs.MAX_ENDED_LOGS} ended replies for {logs.KEPT_SECONDS // 60} minutes" in PAGE
    assert f"the newest {log.MAX_HELD_BYTES // 1024} KiB of frames of each" in PAGE
    assert f"has changed for {settings.REPLY_LEASE_SECONDS:.0f} s" in PAGE
    assert f"may have {limits.LIMITS['open_conversations']} conversations open" in PAGE
    part = f"at most {history.PART_MESSAGES} messages and {history.PART_BYTES // 1024} KiB of text"
    assert PAGE.count(part) == 2
    assert f"is larger than {protocol.MAX_SENT_BYTES // 1024} KiB" in PAGE
    assert f"at most {protocol.MAX_ATTACHMENTS}" in PAGE
    assert f"at most {protocol.MAX_TEXT_CHARS:,} characters" in PAGE
    assert f"Version {protocol.PROTOCOL_VERSION}," in PAGE
