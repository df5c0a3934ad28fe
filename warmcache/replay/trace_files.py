"""Tables of recorded requests as files: which there are in a folder, and their rows."""

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
"""What is read of a table; whatever else it has is left alone."""

Row = dict[str, str]


class TraceError(Exception):
    """A table cannot be used; in one sentence, why."""


class TraceMissing(TraceError):
    """A table is not where it was looked for."""


class TraceUnreadable(TraceError):
    """A file is no table of requests, or is damaged."""


def tables_in(directory: Path, *, known: Sequence[str]) -> list[str]:
    """The names of the tables of requests in a folder, without their suffixes: the known ones first.

    A damaged file of a known name is one, so that its reader says what is wrong with it.
    """
    paths = list(directory.iterdir()) if directory.is_dir() else []
    names = {name for path in paths if (name := name_of(path)) and (name in known or _is_table(path))}
    return [name for name in known if name in names] + sorted(names.difference(known))


def name_of(path: Path) -> str:
    """A table's name; empty for any other file."""
    return next((path.name.removesuffix(suffix) for suffix in SUFFIXES if path.name.endswith(suffix)), "")


def path_of(directory: Path, source: str) -> Path:
    """Where a table is; raises `TraceMissing`."""
    paths = [directory / f"{source}{suffix}" for suffix in SUFFIXES]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        raise TraceMissing(f"There is no {paths[0].name} in {directory}.")
    return found


def rows_of(path: Path) -> Iterator[Row]:
    """Row by row; raises `TraceUnreadable`, and inside of `reading` for damaged files, too."""
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as lines:
        reader = csv.DictReader(lines)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise TraceUnreadable(f"{path} is no table of requests: it has no column {missing[0]}.")
        yield from reader


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What goes wrong with a file or its values inside of it is a `TraceUnreadable`."""
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
