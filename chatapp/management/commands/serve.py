"""`manage.py serve`: the production server."""

import os
import socket
import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from chatapp.process.upstream import Upstream
from chatapp.server import listening, startup
from warmcache import Upstream as Kind

MAX_PROCESSES = 256


def process_count(text: str) -> int:
    """A number, or `auto`: one for each core that this process may use."""
    if text == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isdecimal() or not 1 <= int(text) <= MAX_PROCESSES:
        raise ArgumentTypeError(f"{text!r} is neither a number from 1 to {MAX_PROCESSES} nor `auto`")
    return int(text)


class Command(BaseCommand):
    help = "Serves the chat: Daphne with our own timeouts and a graceful shutdown."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        parser.add_argument(
            "--port", type=int, default=settings.PORT, help="default: PORT, else 8000; 0 = any free one"
        )
        parser.add_argument(
            "--processes",
            type=process_count,
            default=1,
            help="server processes on this port, `auto` for one per core; several need PostgreSQL and Redis",
        )
        # File descriptors of two inherited sockets: the listening one, and the line to the supervisor.
        parser.add_argument("--member", help=SUPPRESS)

    def handle(self, *, host: str, port: int, processes: int, member: str | None, **options: Any) -> None:
        exit_code = 0
        with startup.one_sentence_errors():
            if member is not None:
                self._serve_as_member(member)
            else:
                exit_code = self._serve(host, port, processes=processes)
        startup.leave()
        if exit_code:
            sys.exit(exit_code)

    def _serve(self, host: str, port: int, *, processes: int) -> int:
        startup.require_own_keys(host)
        startup.require_shared_state(processes)
        listener = listening.listen(host, port)
        with Upstream() as upstream:
            startup.require_migrations()
            startup.keep_front_end()
            if upstream.settle() is Kind.SIMULATOR:
                endpoint = settings.ANTHROPIC_API_KEY and "the configured endpoint is a simulator"
                self._say(f"Simulated replies: {endpoint or 'no API key is set, so a simulator answers'}.")
            address = listening.url_of(listener)
            if processes > 1:
                words = f"Serving {address} ({processes} processes)"
                return startup.run_processes(listener, count=processes, on_ready=lambda: self._say(words))
            startup.run_server(listener, on_ready=lambda: self._ready(address))
        return 0

    def _serve_as_member(self, sockets: str) -> None:
        listener, line_end = (socket.socket(fileno=int(number)) for number in sockets.split(","))
        with Upstream() as upstream:
            upstream.settle()
            startup.run_server(
                listener,
                on_ready=lambda: startup.in_background(startup.get_ready_to_answer),
                line_end=line_end,
            )

    def _ready(self, address: str) -> None:
        self._say(f"Serving {address}")
        startup.in_background(startup.get_ready_to_answer)

    def _say(self, text: str) -> None:
        self.stderr.write(text, ending="\n")
