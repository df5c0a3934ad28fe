"""`python -m benchmarks [NAME ...]`: runs the named benchmarks, or all but the long. Only `turns` takes options."""

import argparse
import os
import sys
from collections.abc import Callable

import django

from benchmarks import (
    commit,
    compression,
    conformance,
    console,
    find,
    first_paint,
    first_token,
    join,
    local_model,
    long_answer,
    pdf,
    press,
    races,
    replay,
    resume,
    rolling,
    soak,
    sockets,
    start,
)
from benchmarks.turns import command as turns
from tests.servers import MissingServerError


def _set_up_django() -> None:
    """For the benchmarks that run in this process."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatapp.settings")
    django.setup()


def _decision() -> None:
    _set_up_django()
    from benchmarks import decision

    decision.run()


def _hostile() -> None:
    _set_up_django()
    from benchmarks import hostile

    hostile.run()


def _tokens() -> None:
    _set_up_django()
    from benchmarks import tokens

    tokens.run()


BENCHMARKS: dict[str, Callable[[], None]] = {
    "commit": commit.run,
    "compression": compression.run,
    "conformance": conformance.run,
    "console": console.run,
    "decision": _decision,
    "find": find.run,
    "first-paint": first_paint.run,
    "first-token": first_token.run,
    "hostile": _hostile,
    "join": join.run,
    "local-model": local_model.run,
    "long-answer": long_answer.run,
    "pdf": pdf.run,
    "press": press.run,
    "races": races.run,
    "replay": replay.run,
    "resume": resume.run,
    "rolling": rolling.run,
    "soak": soak.run,
    "sockets": sockets.run,
    "start": start.run,
    "tokens": _tokens,
    "turns": turns.run,
}

LONG = ("conformance", "long-answer", "rolling", "soak")
"""Run only where they are named."""


def main() -> int:
    if sys.argv[1:2] == ["turns"]:
        return _measured(lambda: turns.run(sys.argv[2:]))
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    names = parser.parse_args().names or [name for name in BENCHMARKS if name not in LONG]
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    for name in names:
        print(f"== {name}", flush=True)
        _measured(BENCHMARKS[name])
    return 0


def _measured(benchmark: Callable[[], None]) -> int:
    try:
        benchmark()
    except MissingServerError as error:
        print(f"not measured: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
