"""Every text of the sources has a translation, and what is compiled is what is written."""

import gettext
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.catalogues import FILES, PLACEHOLDER, ROOT, Entry, entries_of

pytestmark = pytest.mark.any_database
NEEDS_GETTEXT = pytest.mark.skipif(shutil.which("msgfmt") is None, reason="GNU gettext is not installed")
OF_CHAT, OF_SCRIPTS, OF_WARMCACHE = ("locale", "django"), ("locale", "djangojs"), ("warmcache/locale", "django")
SOURCES = {
    OF_CHAT: ("chatapp", "templates"),
    OF_SCRIPTS: ("static/js",),
    OF_WARMCACHE: ("warmcache",),
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_there_are_catalogues_for_the_chat_its_scripts_and_warmcache() -> None:
    assert [name_of(path) for path in FILES] == [
        "locale/de/LC_MESSAGES/django.po",
        "locale/de/LC_MESSAGES/djangojs.po",
        "warmcache/locale/de/LC_MESSAGES/django.po",
    ]


@NEEDS_GETTEXT
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_compiled_catalogue_is_what_msgfmt_makes_of_the_written_one(path: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.mo"
    subprocess.run(["msgfmt", "--check-format", "-o", made, path], check=True)

    assert _compiled(path.with_suffix(".mo")) == _compiled(made)


def _compiled(path: Path) -> dict[object, str]:
    with path.open("rb") as file:
        catalogue: dict[object, str] = dict(vars(gettext.GNUTranslations(file))["_catalog"])
    # Its header, which has the time of writing.
    catalogue.pop("")
    return catalogue


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_entry_is_translated_with_the_same_placeholders(path: Path) -> None:
    entries = entries_of(path)

    assert entries
    assert [entry.english for entry in entries if entry.is_fuzzy or not all(entry.forms) or not entry.forms] == []
    assert [entry.english for entry in entries if entry.is_plural != (len(entry.forms) > 1)] == []
    assert [entry.english for entry in entries if not _fits(entry)] == []


def _fits(entry: Entry) -> bool:
    wanted = {frozenset(PLACEHOLDER.findall(text)) for text in (entry.english, entry.plural) if text}
    return all(frozenset(PLACEHOLDER.findall(form)) in wanted for form in entry.forms)


@NEEDS_GETTEXT
@pytest.mark.parametrize("catalogue", SOURCES, ids=["chat", "scripts", "warmcache"])
def test_every_text_of_the_sources_is_in_the_catalogue_and_no_other(catalogue: tuple[str, str], tmp_path: Path) -> None:
    folder, domain = catalogue
    (tmp_path / "locale").mkdir()
    for name in SOURCES[catalogue]:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("locale", "__pycache__"))

    command = [sys.executable, "-m", "django", "makemessages", "--locale", "de", "--no-location", "--domain", domain]
    (tmp_path / "plain_settings.py").write_text("")
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "plain_settings", "PYTHONPATH": str(tmp_path)}
    made = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert made.returncode == 0, made.stderr
    found = entries_of(tmp_path / f"locale/de/LC_MESSAGES/{domain}.po")
    known = entries_of(ROOT / folder / f"de/LC_MESSAGES/{domain}.po")
    assert {(each.english, each.plural) for each in found} == {(each.english, each.plural) for each in known}
