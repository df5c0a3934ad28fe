"""Reads the catalogues of translations as their authors write them."""

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (ROOT / "locale", ROOT / "warmcache/locale")
FILES = sorted(path for folder in FOLDERS for path in folder.glob("*/LC_MESSAGES/*.po"))
PLACEHOLDER = re.compile(r"%\(\w+\)[sdr]|\{\w+\}")
_FIELD = re.compile(r'(msgid_plural|msgid|msgstr)(?:\[\d\])? (".*")')


@dataclass(slots=True)
class Entry:
    english: str = ""
    plural: str = ""
    forms: list[str] = field(default_factory=list)
    is_fuzzy: bool = False

    @property
    def is_plural(self) -> bool:
        return self.plural != ""


def entries_of(path: Path) -> list[Entry]:
    """All but the header, which has no English."""
    return [entry for block in path.read_text(encoding="utf-8").split("\n\n") if (entry := _read(block)).english]


def _read(block: str) -> Entry:
    entry, name = Entry(), ""
    for line in block.splitlines():
        if line.startswith("#"):
            entry.is_fuzzy = entry.is_fuzzy or line.startswith("#, ") and "fuzzy" in line
            continue
        found = _FIELD.fullmatch(line)
        name, text = (found[1], found[2]) if found else (name, line)
        words: str = ast.literal_eval(text)
        if name == "msgid":
            entry.english += words
        elif name == "msgid_plural":
            entry.plural += words
        elif found:
            entry.forms.append(words)
        else:
            entry.forms[-1] += words
    return entry
