"""How much code a browser fetches before the first message: counted, as `collectstatic` would compress it."""

import gzip
import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from chatapp.front_end import PACKAGES
from chatapp.models import User
from chatapp.templatetags.importmap import SHARED_MODULES

MOST_BYTES = 200_000
STATIC_IMPORT = re.compile(r"^(?:import|export)\b(?:[^\"'(;=]*\bfrom)?\s*[\"']([^\"']+)[\"']", re.MULTILINE)
STYLESHEET = re.compile(r'<link rel="stylesheet" href="/static/([^"]+)">')
NEVER_AT_FIRST = {"highlight.js", "katex"}


def fetched_modules(start: str) -> set[str]:
    """Everything that the module imports, directly or not; what is imported by a call comes when it is needed."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for target in STATIC_IMPORT.findall(path_of(name).read_text()):
            waiting.append(named(target, name))
    return found


def named(target: str, importer: str) -> str:
    if target.startswith("."):
        base = Path("/", importer).parent
        return str((base / target).resolve()).lstrip("/")
    return target if target in SHARED_MODULES else PACKAGES[target]


def path_of(name: str) -> Path:
    found = finders.find(name)
    assert isinstance(found, str), f"no static file {name}"
    return Path(found)


@pytest.mark.usefixtures("assistant")
def test_less_than_200_kilobytes_of_code_come_before_the_first_message(client: Client, ann: User) -> None:
    client.force_login(ann)
    styles = set(STYLESHEET.findall(client.get("/").content.decode()))
    modules = fetched_modules("js/main.js")
    sizes = {name: len(gzip.compress(path_of(name).read_bytes(), 9)) for name in styles | modules}

    assert len(styles) > 10
    assert PACKAGES["markdown-it"] in modules
    assert not {PACKAGES[name] for name in NEVER_AT_FIRST} & modules
    assert sum(sizes.values()) < MOST_BYTES, sorted(sizes.items(), key=lambda each: -each[1])[:10]
