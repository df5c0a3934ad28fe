"""`python -m warmcache.simulator`: the simulated Messages API as a separate process.

Prints one line, `READY http://HOST:PORT`, once it listens. Nothing here imports Django.
"""

import argparse
import signal
import sys
from typing import NoReturn


class _Parser(argparse.ArgumentParser):
    """Reports errors in one sentence."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message[:1].upper()}{message[1:]} (see --help).\n")


def main(arguments: list[str] | None = None) -> int:
    """Parses the flags and serves. Returns the exit code."""
    # Until the event loop takes over, an interrupt ends us without a traceback, even during imports.
    signal.signal(signal.SIGINT, lambda number, frame: sys.exit(0))
    from warmcache.simulator.options import add_arguments  # after the handler: these imports take a while
    from warmcache.simulator.server import run

    parser = _Parser(prog="python -m warmcache.simulator", description="A local Messages API with a prompt cache.")
    add_arguments(parser)
    return run(vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
