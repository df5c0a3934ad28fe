"""The pages for developers: the files and functions that they name exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    "SECURITY.md",
    "docs/architecture.md",
    "docs/comparison.md",
    "docs/console.md",
    "docs/languages.md",
    "docs/performance.md",
    "docs/access.md",
    "docs/deploy.md",
    "docs/security-checklist.md",
    "warmcache/simulator/README.md",
    "CONTRIBUTING.md",
]
NAMED = re.compile(r"`(?P<file>[\w/<>]+\.(?:py|js|md))(?:: (?P<name>[\w.]+))?`")


def existing(file: str) -> Path | None:
    """Pages name files from the top, or from one of the two packages."""
    tops = ("", "docs", "chatapp", "warmcache", "chatapp/conversations", "warmcache/simulator")
    found = (ROOT / top / file for top in tops)
    return next((path for path in found if path.exists()), None)


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_function_that_a_page_names_exists(page: str) -> None:
    missing = []
    for named in NAMED.finditer((ROOT / page).read_text()):
        file, name = named["file"], named["name"]
        path = existing(file)
        parts = name.split(".") if name else []
        if "<" not in file and (path is None or not all(part in path.read_text() for part in parts)):
            missing.append(named[0])

    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_to_a_file(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())

    assert [link for link in links if not (path.parent / link).exists()] == []
