"""`manage.py warmcache_prune`: deletes old rows of the ledger; every figure of the report stays."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from warmcache.conf import get_config
from warmcache.ledger.rollups import MIN_KEEP_DAYS, prune
from warmcache.runtime.wiring import SystemClock
from warmcache.upstream.prices import price_list


class Command(BaseCommand):
    """Rolls up what is not rolled up yet, then deletes whole UTC days. May be stopped and run again."""

    help = "Delete old rows of the ledger; their sums by day stay, so that reports say the same."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The flag goes before the setting."""
        parser.add_argument(
            "--keep-days",
            type=int,
            default=None,
            help=f"how many days of rows are kept, at least {MIN_KEEP_DAYS}; default: WARMCACHE['KEEP_DAYS']",
        )

    def handle(self, **options: Any) -> None:
        """Says how many rows are gone, and up to which day."""
        config, chosen = get_config(), options["keep_days"]
        keep_days = config.keep_days if chosen is None else chosen
        if chosen is None and not keep_days:
            self.stdout.write("WARMCACHE['KEEP_DAYS'] is 0: rows are kept for ever. Nothing was deleted.")
            return
        if keep_days < MIN_KEEP_DAYS:
            raise CommandError(f"The forecasts look back on {MIN_KEEP_DAYS} days: keep at least these.")
        pruned = prune(SystemClock().now(), price_list(config), keep_days=keep_days)
        until = "" if pruned.until is None else f" from before {pruned.until:%Y-%m-%d}"
        self.stdout.write(f"{pruned.rows:,} rows{until} were deleted. Their sums stay.")
