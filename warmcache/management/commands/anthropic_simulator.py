"""`manage.py anthropic_simulator --port N`: runs the simulated Messages API alone."""

import argparse
import sys
from typing import Any

from django.core.management.base import BaseCommand

from warmcache.simulator.options import add_arguments
from warmcache.simulator.server import run


class Command(BaseCommand):
    """The same flags and the same process as `python -m warmcache.simulator`."""

    help = "Run the simulated Messages API with its prompt cache; prints READY and its address."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """The simulator's own flags. A wrong flag gets a one-sentence answer, without the list of all flags."""
        parser.usage = argparse.SUPPRESS
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serves until a signal or the end of standard input."""
        sys.exit(run(options))
