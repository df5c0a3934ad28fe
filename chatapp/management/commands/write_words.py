"""`manage.py write_words`: updates the page's words, the README's table and the page of settings from the code."""

import argparse
import json
from collections.abc import Iterable
from io import StringIO
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from chatapp.protocol.words import Measure, ReplyStatus
from warmcache import Failure, Reason, RequestWarmth, WarmthState
from warmcache.core.reasons import TO_WARM
from warmcache.core.wording import Worded

PAGE = "static/js/text/words.js"
README = "README.md"
SETTINGS = "warmcache/SETTINGS.md"
BEGIN, END = "<!-- reasons: written by `python manage.py write_words` -->", "<!-- end of reasons -->"

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
    return {PAGE: page_module(), README: _with_table(readme), SETTINGS: _printed("warmcache_settings")}


def _printed(command: str) -> str:
    printed = StringIO()
    call_command(command, stdout=printed)
    return printed.getvalue()


def page_module() -> str:
    """An ES module with one object per set."""
    endings = [status for status in ReplyStatus if status not in (ReplyStatus.STREAMING, ReplyStatus.COMPLETE)]
    skips = [reason for reason in Reason if reason not in TO_WARM]
    return HEAD + "".join(
        (
            _words("WARMTH_LABELS", WarmthState),
            _details("WARMTH_EXPLANATIONS", WarmthState),
            _words("REASONS", (*skips, *Failure)),
            _words("REPLY_WARMTH", RequestWarmth),
            _details("REPLY_WARMTH_EXPLANATIONS", RequestWarmth),
            _words("QUOTA_LEFT", Measure),
            _words("REPLY_ENDINGS", endings),
        )
    )


def reasons_table() -> str:
    """The README's table of reasons, in the order of the gates."""
    lines = ["| reason | the operator is told | the person is told |", "|---|---|---|"]
    for reason in Reason:
        if reason not in TO_WARM:
            lines.append(f"| `{reason}` | {reason.words} | {reason.reader_words} |")
    return "\n".join(lines)


def _words(name: str, members: Iterable[Worded]) -> str:
    return _object(name, {str(member): member.reader_words for member in members})


def _details(name: str, members: Iterable[Worded]) -> str:
    return _object(name, {str(member): member.reader_detail for member in members})


def _object(name: str, words: dict[str, str]) -> str:
    lines = "".join(f"  {key}: {json.dumps(text, ensure_ascii=False)},\n" for key, text in words.items())
    return f"\nexport const {name} = {{\n{lines}}}\n"


def _with_table(readme: str) -> str:
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise CommandError(f"{README} must have the lines {BEGIN!r} and {END!r}.")
    return f"{before}{BEGIN}\n\n{reasons_table()}\n\n{END}{after}"
