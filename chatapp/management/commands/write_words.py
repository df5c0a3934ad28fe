"""`manage.py write_words`: updates the page's words, the README's table and the page of settings from the code."""

import argparse
import json
import re
from collections.abc import Iterable
from io import StringIO
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.utils import translation
from django.utils.translation.trans_real import DjangoTranslation
from django.views.i18n import JavaScriptCatalog

from chatapp import model_translation
from chatapp.protocol.words import Measure, ReplyStatus
from warmcache import Failure, Reason, RequestWarmth, WarmthState
from warmcache.core.reasons import TO_WARM
from warmcache.core.wording import Worded

PAGE = "static/js/text/words.js"
README = "README.md"
SETTINGS = "warmcache/SETTINGS.md"
BEGIN, END = "<!-- reasons: written by `python manage.py write_words` -->", "<!-- end of reasons -->"

MODELS = "chatapp/model_words.py"
MODELS_HEAD = '''\
"""The names of the models' fields, for `makemessages`. Written by `python manage.py write_words` from the models."""
# ruff: noqa: E501
# fmt: off

from warmcache.core.wording import gettext_noop

WORDS = (
'''

CATALOGUE = "static/words/{language}.js"
CATALOGUE_HEAD = """\
// The page's words in another language. Written by `python manage.py write_words` from the catalogues in locale/.

import { speak } from "../js/language/translate.js"

"""

HEAD = """\
// What the page says for the words of the server. Written by `python manage.py write_words`; change them there.
"""


class Command(BaseCommand):
    """Writes only what has changed."""

    help = "Write what is made from the sets of reasons, states and outcomes: the page's words, the README's table."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing, and fail where something is stale")

    def handle(self, *, check: bool, **options: Any) -> None:
        """Raises `CommandError` if a file has no place for the table or, with `--check`, is not up to date."""
        for name, text in texts().items():
            path = settings.BASE_DIR / name
            if path.is_file() and path.read_text(encoding="utf-8") == text:
                continue
            if check:
                raise CommandError(f"{name} is not up to date: run `python manage.py write_words`.")
            path.write_text(text, encoding="utf-8")
            self.stdout.write(f"{name} is written.")


def texts() -> dict[str, str]:
    """The text that each file should have, by its path from the top of the repository."""
    readme = (settings.BASE_DIR / README).read_text(encoding="utf-8")
    languages = [language for language, _ in settings.LANGUAGES if language != settings.LANGUAGE_CODE]
    return {
        PAGE: page_module(),
        MODELS: model_words(),
        README: _with_table(readme),
        SETTINGS: _printed("warmcache_settings"),
        **{CATALOGUE.format(language=language): catalogue_module(language) for language in languages},
    }


def _printed(command: str) -> str:
    printed = StringIO()
    call_command(command, stdout=printed)
    return printed.getvalue()


def page_module() -> str:
    """An ES module with one object per set."""
    return HEAD + "".join(_object(name, words) for name, words in _page_words().items())


def model_words() -> str:
    """What the admin shows of our models, which have it in English."""
    with translation.override(None):
        shown = [model for model in apps.get_app_config("chatapp").get_models() if admin.site.is_registered(model)]
        lines = "".join(f"    gettext_noop({_json(text)}),\n" for text in model_translation.texts_of(shown))
    return f"{MODELS_HEAD}{lines})\n"


def catalogue_module(language: str) -> str:
    """An ES module that hands over the page's words in `language`: of its own catalogue, and of the closed sets."""
    catalogue = JavaScriptCatalog()
    catalogue.translation = DjangoTranslation(
        language, domain="djangojs", localedirs=[*map(str, settings.LOCALE_PATHS)]
    )
    words = catalogue.get_catalog()
    with translation.override(language):
        for text in {text for members in _page_words().values() for text in members.values()}:
            if (told := translation.gettext(text)) != text:
                words[text] = told
    lines = "".join(f"    {_json(english)}: {_json(words[english])},\n" for english in sorted(words))
    told = f'  language: "{language}",\n  form: (count) => Number({_form(catalogue)}),\n  words: {{\n{lines}  }},\n'
    return f"{CATALOGUE_HEAD}speak({{\n{told}}})\n"


def _form(catalogue: JavaScriptCatalog) -> str:
    """The catalogue's rule for plurals, which is written in C, as JavaScript."""
    rule = str(catalogue.get_plural() or "n != 1").strip().removeprefix("(").removesuffix(")")
    return re.sub(r"(?<![=!<>])([=!]=)(?!=)", r"\1=", re.sub(r"\bn\b", "count", rule))


def _json(words: str | list[str]) -> str:
    return json.dumps(words, ensure_ascii=False)


def _page_words() -> dict[str, dict[str, str]]:
    """What the page says for the server's words, by the name of the constant."""
    endings = [status for status in ReplyStatus if status not in (ReplyStatus.STREAMING, ReplyStatus.COMPLETE)]
    skips = [reason for reason in Reason if reason not in TO_WARM]
    return {
        "WARMTH_LABELS": _words(WarmthState),
        "WARMTH_EXPLANATIONS": _details(WarmthState),
        "REASONS": _words((*skips, *Failure)),
        "REPLY_WARMTH": _words(RequestWarmth),
        "REPLY_WARMTH_EXPLANATIONS": _details(RequestWarmth),
        "QUOTA_LEFT": _words(Measure),
        "REPLY_ENDINGS": _words(endings),
    }


def reasons_table() -> str:
    """The README's table of reasons, in the order of the gates."""
    lines = ["| reason | the operator is told | the person is told |", "|---|---|---|"]
    for reason in Reason:
        if reason not in TO_WARM:
            lines.append(f"| `{reason}` | {reason.words} | {reason.reader_words} |")
    return "\n".join(lines)


def _words(members: Iterable[Worded]) -> dict[str, str]:
    return {str(member): member.reader_words for member in members}


def _details(members: Iterable[Worded]) -> dict[str, str]:
    return {str(member): member.reader_detail for member in members}


def _object(name: str, words: dict[str, str]) -> str:
    lines = "".join(f"  {key}: {_json(text)},\n" for key, text in words.items())
    return f"\nexport const {name} = {{\n{lines}}}\n"


def _with_table(readme: str) -> str:
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise CommandError(f"{README} must have the lines {BEGIN!r} and {END!r}.")
    return f"{before}{BEGIN}\n\n{reasons_table()}\n\n{END}{after}"
