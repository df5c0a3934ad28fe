"""`manage.py warmcache_report`: what warming cost, what it gained, and how certain that is."""

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from warmcache.conf import get_config
from warmcache.operator_policy import policy_in_force, read_row
from warmcache.reports.evidence import read_evidence
from warmcache.reports.figures import report_of
from warmcache.reports.period import DEFAULT_PERIOD, seconds_of
from warmcache.reports.text import as_json, lines
from warmcache.runtime.wiring import SystemClock
from warmcache.upstream.prices import price_list


class Command(BaseCommand):
    """Settles expired lines, reads the ledger, writes the report."""

    help = "Report what warming cost and what it bought, from the ledger."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The flags: the period ends now."""
        parser.add_argument(
            "--since", default=DEFAULT_PERIOD, metavar=DEFAULT_PERIOD, help="how far back: 30m, 24h, 7d, 2w"
        )
        parser.add_argument("--label", default=None, help="of one label alone, such as an assistant")
        parser.add_argument("--json", action="store_true", help="the same figures as JSON, unrounded")

    def handle(self, **options: Any) -> None:
        """Writes text, or JSON for programs."""
        try:
            period_seconds = seconds_of(options["since"])
        except ValueError as error:
            raise CommandError(f"--since: {error}") from None
        config = get_config()
        price = policy_in_force(config, read_row()).value_of_second_usd
        evidence = read_evidence(
            now=SystemClock().now(), period_seconds=period_seconds, label=options["label"], rates=price_list(config)
        )
        report = report_of(evidence)
        if options["json"]:
            self.stdout.write(json.dumps(as_json(report, price_of_second_usd=price), indent=2))
        else:
            self.stdout.write("\n".join(lines(report, price_of_second_usd=price)))
