"""Files with tables of recorded requests: which ones a folder has, and their rows."""

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SUFFIXES = (".csv.gz", ".csv")
COLUMNS = (
    "conversation_id",
    "trigger",
    "t_s",
    "arrival_s",
    "reply_end_s",
    "input_tokens",
    "output_tokens",
    "shared_prefix_tokens",
    "static_prefix_tokens",
    "user_tokens_est",
    "obs_end_s",
    "flags",
)
"""The columns that are read; other columns are ignored."""

Row = dict[str, str]


class TraceError(Exception):
    """A table cannot be used; the message says why in one sentence."""


class TraceMissing(TraceError):
    """A table is not at the expected path."""


class TraceUnreadable(TraceError):
    """A file is not a table of requests, or it is damaged."""


def tables_in(directory: Path, *, known: Sequence[str]) -> list[str]:
    """The names of the tables of requests in a folder, without suffixes: the known ones first.

    A damaged file with a known name is included, so that its reader reports the problem.
    """
    paths = list(directory.iterdir()) if directory.is_dir() else []
    names = {name for path in paths if (name := name_of(path)) and (name in known or _is_table(path))}
    return [name for name in known if name in names] + sorted(names.difference(known))


def name_of(path: Path) -> str:
    """A table's name; empty for any other file."""
    return next((path.name.removesuffix(suffix) for suffix in SUFFIXES if path.name.endswith(suffix)), "")


def path_of(directory: Path, source: str) -> Path:
    """The path of a table; raises `TraceMissing`."""
    paths = [directory / f"{source}{suffix}" for suffix in SUFFIXES]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        raise TraceMissing(f"There is no {paths[0].name} in {directory}.")
    return found


def rows_of(path: Path) -> Iterator[Row]:
    """Row by row; raises `TraceUnreadable`. Use it inside `reading`, which does so for damaged files too."""
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as lines:
        reader = csv.DictReader(lines)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise TraceUnreadable(f"{path} is no table of requests: it has no column {missing[0]}.")
        yield from reader


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns errors of a file or of its values into `TraceUnreadable`."""
    try:
        yield
    except (OSError, EOFError, zlib.error, csv.Error, ValueError, TypeError) as error:
        raise TraceUnreadable(f"{path} cannot be read as a table of requests ({error}).") from error


def _is_table(path: Path) -> bool:
    try:
        with reading(path):
            next(rows_of(path), None)
    except TraceUnreadable:
        return False
    return True
