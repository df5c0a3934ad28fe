"""What a server says of one of its tools, as models are told it: bounded, and named so that the API takes it."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_TOOLS = 100
MAX_NAME_CHARS = 200
MAX_DESCRIPTION_CHARS = 4000
MAX_SCHEMA_BYTES = 16 * 1024
MAX_SENT_NAME_CHARS = 64
"""Older models take no more."""
HASH_CHARS = 8

_UNSENDABLE = re.compile(r"[^a-zA-Z0-9_-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    name: str
    definition: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The same for the same words, in whatever order a server writes them."""
        written = json.dumps([self.name, self.definition], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(written.encode()).hexdigest()


def defined(name: str, description: str | None, input_schema: Mapping[str, Any]) -> Definition:
    """As a model may be told it; raises `ValueError`, with a sentence, if it may not."""
    schema = dict(input_schema)
    if not name or len(name) > MAX_NAME_CHARS:
        raise ValueError(f"The name {name[:40]!r} is empty, or longer than {MAX_NAME_CHARS} characters.")
    if len(description or "") > MAX_DESCRIPTION_CHARS:
        raise ValueError(f"The description of {name!r} has more than {MAX_DESCRIPTION_CHARS:,} characters.")
    if schema.get("type") != "object":
        raise ValueError(f"The input of {name!r} is no object.")
    # Sorted: what the order of members was is chance, and would be another prefix.
    written = json.dumps(schema, sort_keys=True)
    if len(written) > MAX_SCHEMA_BYTES:
        raise ValueError(f"The schema of {name!r} has more than {MAX_SCHEMA_BYTES // 1024} KiB.")
    told = json.dumps([name, description, schema], ensure_ascii=False)
    if "\\u0000" in told or any("\ud800" <= each <= "\udfff" for each in told):
        raise ValueError(f"The words of {name[:40]!r} hold what no database keeps.")
    about = {"description": description} if description else {}
    return Definition(name=name, definition={**about, "input_schema": json.loads(written)})


def sent_name(prefix: str, name: str, *, taken: Iterable[str] = ()) -> str:
    """`prefix__name` of the characters that the API takes; marked with a hash where that would not be unique."""
    clean = _UNSENDABLE.sub("_", name)
    wanted = f"{prefix}__{clean}"
    if clean == name and len(wanted) <= MAX_SENT_NAME_CHARS and wanted not in taken:
        return wanted
    mark = hashlib.sha256(name.encode()).hexdigest()[:HASH_CHARS]
    return f"{wanted[: MAX_SENT_NAME_CHARS - HASH_CHARS - 1]}_{mark}"
