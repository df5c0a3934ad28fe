"""What a server says of one of its tools, as models are told it: bounded, and named so that the API takes it."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

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
        told = gettext("The name %(name)r is empty, or longer than %(most)d characters.")
        raise ValueError(told % {"name": name[:40], "most": MAX_NAME_CHARS})
    if len(description or "") > MAX_DESCRIPTION_CHARS:
        told = gettext("The description of %(name)r has more than %(most)s characters.")
        raise ValueError(told % {"name": name, "most": f"{MAX_DESCRIPTION_CHARS:,}"})
    if schema.get("type") != "object":
        raise ValueError(gettext("The input of %(name)r is no object.") % {"name": name})
    # Sorted: what the order of members was is chance, and would be another prefix.
    written = json.dumps(schema, sort_keys=True)
    if len(written) > MAX_SCHEMA_BYTES:
        told = gettext("The schema of %(name)r has more than %(most)d KiB.")
        raise ValueError(told % {"name": name, "most": MAX_SCHEMA_BYTES // 1024})
    words = json.dumps([name, description, schema], ensure_ascii=False)
    if "\\u0000" in words or any("\ud800" <= each <= "\udfff" for each in words):
        raise ValueError(gettext("The words of %(name)r hold what no database keeps.") % {"name": name[:40]})
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
