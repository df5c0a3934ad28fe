"""The closed sets: whoever adds a member gives it words, and all that is made from them is brought up to date."""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command

import chatapp.protocol.words
from chatapp.management.commands import write_words
from chatapp.protocol.words import ErrorCode
from warmcache.core.failures import Failure
from warmcache.core.reasons import TO_WARM, Reason
from warmcache.core.wording import Worded, gettext_noop
from warmcache.words import reason_text

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [
    *(ROOT / "warmcache/core").rglob("*.py"),
    ROOT / "warmcache/reports/gains.py",
    Path(chatapp.protocol.words.__file__),
]
PRODUCT = [path for app in ("warmcache", "chatapp") for path in (ROOT / app).rglob("*.py")]
CLOSED = {"reason", "intent", "outcome", "arm", "warmth", "state", "status", "purpose", "code", "kind", "cause"}
"""Names of parameters and fields for which there is a closed set."""
OPEN = {
    "chatapp/accounts/oidc.py": "`code` and `state` are the standard's names of random text",
    "chatapp/accounts/second_factor.py": "`code` is what an authenticator app shows",
    "chatapp/process/warm_metrics.py": "labels of metrics: of signals, and a row may have a word of another release",
    "warmcache/ledger/settlement.py": "the row's own word, which another release may have written",
    "chatapp/socket/session.py": "what a WebSocket is closed with",
    "chatapp/server/paced_socket.py": "what a WebSocket is closed with",
    "chatapp/protocol/frames.py": "what the decoder says of a frame",
    "chatapp/protocol/views.py": "read from rows and from Redis, where a code of another version may stand",
    **dict.fromkeys(
        (
            "warmcache/admin/stories.py",
            "warmcache/core/tallies.py",
            "warmcache/reports/experiments.py",
            "warmcache/reports/figures.py",
            "warmcache/reports/state.py",
            "warmcache/reports/waste.py",
        ),
        "read from the ledger, where a word of another version may stand",
    ),
    "warmcache/stores/redis.py": "the beginnings of a store's keys",
    "warmcache/stores/redis_link.py": "the beginnings of a store's keys",
    "warmcache/core/failures.py": "the code of a host's own provider, which becomes one of ours",
    "warmcache/simulator/faults.py": "the names of the faults",
    "warmcache/simulator/message_rules.py": "the API's own words",
    "warmcache/simulator/passages.py": "the code of a program, as a text",
    "warmcache/simulator/replies.py": "the API's own words",
    "warmcache/simulator/structured.py": "the words of JSON Schema",
}


def sets() -> Iterator[type[Worded]]:
    waiting = list(Worded.__subclasses__())
    while waiting:
        found = waiting.pop()
        waiting += found.__subclasses__()
        yield found


def all_words() -> set[str]:
    members = [member for found in sets() for member in found]
    words = {text for m in members for text in (m.words, m.reader_words, m.reader_detail)}
    return words - {""}


def test_what_is_made_from_the_sets_is_up_to_date() -> None:
    call_command("write_words", "--check")


@pytest.mark.parametrize("name", [write_words.PAGE, write_words.README])
def test_a_reason_that_is_added_shows_in_the_page_and_in_the_readme(name: str) -> None:
    text = write_words.texts()[name]

    for reason in set(Reason) - TO_WARM:
        assert reason in text
        assert reason.reader_words in text


def test_a_member_without_words_is_refused() -> None:
    with pytest.raises(TypeError, match="'moon_phase' has no words"):

        class Phase(Worded):
            MOON = "moon_phase"


def test_a_reason_that_is_not_in_the_set_does_not_pass_the_type_checker(tmp_path: Path) -> None:
    right = "from warmcache.core.reasons import Reason\n\n\ndef why() -> Reason:\n    return Reason.BUSY\n"
    wrong = right.replace("Reason.BUSY", '"moon_phase"')

    told = [_type_errors(tmp_path, snippet) for snippet in (right, wrong)]

    assert told[0] == ""
    assert 'got "str", expected "Reason"' in told[1]


def _type_errors(folder: Path, snippet: str) -> str:
    (folder / "snippet.py").write_text(snippet)
    # The names at the top of warmcache lead to the services, and those to Django, which needs a plug-in.
    (folder / "mypy.ini").write_text("[mypy]\n[mypy-warmcache.services]\nfollow_imports = skip\n")
    options = [f"--config-file={folder}/mypy.ini", f"--cache-dir={folder}/cache", "--no-error-summary"]
    command = [sys.executable, "-m", "mypy", *options]
    return subprocess.run([*command, f"{folder}/snippet.py"], cwd=ROOT, capture_output=True, text=True).stdout


def test_what_has_a_closed_set_is_nowhere_just_any_text() -> None:
    loose = {path.relative_to(ROOT).as_posix(): [node.lineno for node in _loose(path)] for path in PRODUCT}

    assert {path: lines for path, lines in loose.items() if lines and path not in OPEN} == {}
    assert {path for path in OPEN if not loose[path]} == set()


def _loose(path: Path) -> Iterator[ast.arg | ast.AnnAssign]:
    """Parameters and fields with a name of `CLOSED` that are annotated as text."""
    for node in ast.walk(ast.parse(path.read_text())):
        name = node.arg if isinstance(node, ast.arg) else ast.unparse(node.target) if _is_field(node) else ""
        if name in CLOSED and node.annotation and "str" in ast.unparse(node.annotation).split(" | "):
            yield node


def _is_field(node: ast.AST) -> bool:
    return isinstance(node, ast.AnnAssign)


def test_every_word_is_found_by_makemessages(tmp_path: Path) -> None:
    found = _found_by_makemessages(tmp_path) if shutil.which("xgettext") else _found_in_the_sources()

    assert all_words() - found == set()


def _found_by_makemessages(folder: Path) -> set[str]:
    (folder / "locale").mkdir()
    (folder / "plain_settings.py").write_text("")
    for path in SOURCES:
        shutil.copy(path, folder / f"{path.parent.name}_{path.name}")
    made = subprocess.run(
        [sys.executable, "-m", "django", "makemessages", "--locale", "de", "--no-wrap", "--no-location"],
        cwd=folder,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "plain_settings", "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    lines = (folder / "locale/de/LC_MESSAGES/django.po").read_text().splitlines()
    return {ast.literal_eval(line.removeprefix("msgid ")) for line in lines if line.startswith("msgid ")}


def _found_in_the_sources() -> set[str]:
    calls = (node for path in SOURCES for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return {call.args[0].value for call in calls if ast.unparse(call.func) == gettext_noop.__name__}


def test_an_operator_reads_words_and_a_reason_of_an_older_version_as_it_is_written() -> None:
    assert reason_text("not_yet") == Reason.NOT_YET.words
    assert reason_text("overloaded") == Failure.OVERLOADED.words
    assert reason_text("moon_in_wrong_phase") == "moon in wrong phase"


def test_a_stop_for_a_reason_of_a_newer_version_still_stops() -> None:
    assert Reason.of_stop("budget") is Reason.BUDGET
    assert Reason.of_stop("moon_phase") is Reason.BREAKER_OPEN


def test_a_failure_that_a_provider_of_the_host_has_named_itself_is_one_of_ours() -> None:
    assert Failure.named("overloaded") is Failure.OVERLOADED
    assert Failure.named("moon_phase") is Failure.INTERNAL_ERROR


def test_the_protocol_page_explains_each_error_code_in_the_words_of_the_set() -> None:
    rows = (ROOT / "chatapp/PROTOCOL.md").read_text().split("| code | retryable | meaning |")[1].split("\n\n")[0]
    told = {cells[1].strip("` "): cells[3].strip() for row in rows.splitlines() if len(cells := row.split("|")) == 5}

    assert {code: words for code, words in told.items() if not code.startswith("-")} == {c: c.words for c in ErrorCode}
