"""`manage.py warmcache_report`: what warming cost, what it gained, and how certain that is."""

import argparse
import json
import re
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from warmcache.report.figures import report_of
from warmcache.report.rows import read_evidence
from warmcache.report.text import as_json, lines
from warmcache.runtime.wiring import SystemClock

SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Command(BaseCommand):
    """Settles expired lines, reads the ledger, writes the report."""

    help = "Report what warming cost and what it bought, from the ledger."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The flags: the period ends now."""
        parser.add_argument("--since", default="7d", metavar="7d", help="how far back: 30m, 24h, 7d, 2w")
        parser.add_argument("--label", default=None, help="of one label alone, such as an assistant")
        parser.add_argument("--json", action="store_true", help="the same figures as JSON, unrounded")

    def handle(self, **options: Any) -> None:
        """Writes text, or JSON for programs."""
        period_seconds = seconds_of(options["since"])
        report = report_of(
            read_evidence(now=SystemClock().now(), period_seconds=period_seconds, label=options["label"])
        )
        if options["json"]:
            self.stdout.write(json.dumps(as_json(report), indent=2))
        else:
            self.stdout.write("\n".join(lines(report)))


def seconds_of(text: str) -> int:
    """Seconds of `7d`, `24h`, `30m` or `2w`."""
    found = re.fullmatch(r"([1-9]\d{0,3})([mhdw])", text)
    if found is None:
        raise CommandError(f"--since must look like 7d, 24h, 30m or 2w, not {text!r}.")
    return int(found[1]) * SECONDS[found[2]]
