"""`manage.py warmcache_erase SUBJECT`: takes a person out of the ledger; every figure of the report stays."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from warmcache.ledger.erasure import erase_subject


class Command(BaseCommand):
    """For the ledger alone. A host with data of its own calls `erase_subject` where it deletes that."""

    help = "Erase a subject, and the places of its rows, from the ledger; costs and sums stay."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The subject as the host names it in its calls."""
        parser.add_argument("subject", help='in the host\'s own words, such as "user 7"')

    def handle(self, **options: Any) -> None:
        """Tells the number of rows and not the subject: what is printed may be kept in a log."""
        try:
            rows = erase_subject(options["subject"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{rows:,} rows of the ledger no longer name their subject. Their sums stay.")
