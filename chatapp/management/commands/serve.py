"""`manage.py serve`: the production server."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from chatapp.process.upstream import Upstream
from chatapp.server import listening, startup
from warmcache.core.upstreams import Upstream as Kind


class Command(BaseCommand):
    help = "Serves the chat: Daphne, with our own clocks and an orderly end."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        parser.add_argument(
            "--port", type=int, default=settings.PORT, help="default: PORT, else 8000; 0 = any free one"
        )
        parser.add_argument(
            "--proxy-headers",
            action="store_true",
            help="take the client's address from X-Forwarded-For: only behind a proxy that overwrites it",
        )

    def handle(self, *, host: str, port: int, proxy_headers: bool, **options: Any) -> None:
        with startup.one_sentence_errors():
            startup.require_own_secret_key(host)
            listener = listening.listen(host, port)
            with Upstream() as upstream:
                startup.require_migrations()
                if upstream.settle() is Kind.SIMULATOR:
                    endpoint = settings.ANTHROPIC_API_KEY and "the configured endpoint is a simulator"
                    self._say(f"Simulated replies: {endpoint or 'no API key is set, so a simulator answers'}.")
                address = listening.url_of(listener)
                startup.run_server(listener, on_ready=lambda: self._ready(address), proxy_headers=proxy_headers)
        startup.leave()

    def _ready(self, address: str) -> None:
        self._say(f"Serving {address}")
        startup.in_background(startup.import_slow_modules)

    def _say(self, text: str) -> None:
        self.stderr.write(text, ending="\n")
