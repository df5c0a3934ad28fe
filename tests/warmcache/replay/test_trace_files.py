"""Any table with the columns of the recorded ones can be replayed, and what is no such table is told in a sentence."""

import gzip
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.warmcache.replay.traffic import MODEL, write
from warmcache.replay.trace_files import TraceUnreadable, tables_in
from warmcache.replay.traces import SOURCES, must_be_rebuilt, read_trace


def rows(**more: object) -> list[dict[str, object]]:
    """One conversation of two messages, a minute apart."""
    first = {"conversation_id": "c", "trigger": "user", "arrival_s": 0, "input_tokens": 5_000, "output_tokens": 100}
    later = {**first, "arrival_s": 60, "input_tokens": 5_200, "shared_prefix_tokens": 5_000}
    return [{**first, **more}, {**later, **more}]


def test_a_folder_s_tables_are_found_by_their_columns(tmp_path):
    write(tmp_path / "ours_of_may.csv.gz", rows())
    write(tmp_path / "mooncake_conversation.csv.gz", rows())
    (tmp_path / "people.csv").write_text("name,age\nann,7\n")
    (tmp_path / "damaged.csv.gz").write_text("no archive")
    (tmp_path / "README.md").write_text("words")

    assert tables_in(tmp_path, known=SOURCES) == ["mooncake_conversation", "ours_of_may"]
    assert tables_in(tmp_path / "nowhere", known=SOURCES) == []


def test_a_table_of_any_name_is_read_by_what_it_holds(tmp_path):
    write(tmp_path / "with_clock.csv.gz", rows(t_s=10))
    write(tmp_path / "without.csv.gz", rows())
    write(tmp_path / "sizes_only.csv.gz", rows(t_s=10, shared_prefix_tokens="", user_tokens_est=40))

    clocked, unclocked = read_trace(tmp_path, "with_clock"), read_trace(tmp_path, "without")
    rebuilt = read_trace(tmp_path, "sizes_only", system_tokens=4_000)

    assert (clocked.has_common_clock, unclocked.has_common_clock) == (True, False)
    assert clocked.conversations[0].requests[1].kept_tokens == 5_100
    assert [request.prompt_tokens for request in rebuilt.conversations[0].requests] == [4_040, 4_180]
    assert [must_be_rebuilt(tmp_path, name) for name in ("with_clock", "sizes_only")] == [False, True]


def test_a_table_may_lie_there_unpacked(tmp_path):
    write(tmp_path / "mine.csv.gz", rows())
    (tmp_path / "mine.csv").write_bytes(gzip.decompress((tmp_path / "mine.csv.gz").read_bytes()))
    (tmp_path / "mine.csv.gz").unlink()

    assert read_trace(tmp_path, "mine").requests == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no archive", "cannot be read"),
        (gzip.compress(b"")[:-4], "cannot be read"),
        (gzip.compress(b"a,b\n1,2\n"), "no column conversation_id"),
        (gzip.compress(b"\xff\xfe\n"), "cannot be read"),
    ],
    # An archive bears the time of its making: named by their bytes, no two processes would agree on these tests.
    ids=("no archive", "cut off", "other columns", "no UTF-8"),
)
def test_what_is_no_table_is_told_in_a_sentence(tmp_path, content, words):
    (tmp_path / "claude_code.csv.gz").write_bytes(content)

    with pytest.raises(TraceUnreadable, match=words):
        read_trace(tmp_path, "claude_code")


@pytest.mark.parametrize(("column", "value"), [("input_tokens", "many"), ("arrival_s", ""), ("output_tokens", "1.5")])
def test_a_value_that_is_no_number_is_told_in_a_sentence(tmp_path, column, value):
    write(tmp_path / "claude_code.csv.gz", rows(**{column: value}))

    with pytest.raises(TraceUnreadable, match="cannot be read"):
        read_trace(tmp_path, "claude_code")


def test_a_table_without_requests_is_told_in_a_sentence(tmp_path):
    write(tmp_path / "claude_code.csv.gz", [])

    with pytest.raises(TraceUnreadable, match="holds no requests"):
        read_trace(tmp_path, "claude_code")


@pytest.fixture
def replay(capsys):
    def run(traces: Path, *arguments: str) -> str:
        quick = ("--models", MODEL, "--profiles", "auto", "--policies", "never", "--no-sweep")
        call_command("warmcache_replay", "--traces", str(traces), *quick, *arguments)
        return capsys.readouterr().out

    return run


def test_the_command_takes_every_table_of_a_folder_or_one_table_alone(replay, tmp_path):
    write(tmp_path / "ours_of_may.csv.gz", rows())
    write(tmp_path / "ours_of_june.csv.gz", rows())

    both, one = replay(tmp_path), replay(tmp_path / "ours_of_may.csv.gz")

    assert "ours_of_may" in both
    assert "ours_of_june" in both
    assert "ours_of_may" in one
    assert "ours_of_june" not in one


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--value-of-second", "nan"], "'nan' must be a number from 0"),
        (["--value-of-second=-1"], "'-1' must be a number from 0"),
        (["--abandonment", "1"], "'1' must be a number from 0 to 0.9"),
        (["--json", "/nowhere/all.json"], "/nowhere/all.json cannot be written"),
        (["--svg", "/"], "/ cannot be written"),
        (["--sources", "theirs"], "There is no theirs.csv.gz"),
    ],
)
def test_the_command_says_before_it_begins_what_it_cannot_do(replay, tmp_path, arguments, words):
    write(tmp_path / "ours_of_may.csv.gz", rows())

    with pytest.raises(CommandError, match=words):
        replay(tmp_path, *arguments)


def test_the_command_says_so_where_a_folder_has_no_tables(replay, tmp_path):
    with pytest.raises(CommandError, match="no table of requests"):
        replay(tmp_path)


def test_damage_that_a_worker_finds_is_told_in_a_sentence(replay, tmp_path):
    write(tmp_path / "ours_of_may.csv.gz", rows(output_tokens="many"))

    with pytest.raises(CommandError, match="cannot be read as a table"):
        replay(tmp_path, "--abandonment", "0", "0.1")
