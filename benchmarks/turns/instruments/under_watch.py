"""Runs another script in this process and reports, at each SIGUSR1, what was recorded since the last one.

Instruments run in the measured checkout's interpreter and import nothing of it.
"""

import json
import os
import runpy
import signal
import sys
from collections.abc import Callable


def serve_under(take: Callable[[], object]) -> None:
    """`python INSTRUMENT SCRIPT ARGUMENTS`; `take` returns what was recorded, and forgets it."""
    path = os.environ["REPORT"]

    def write(*_: object) -> None:
        with open(f"{path}.part", "w") as file:
            json.dump(take(), file)
        os.replace(f"{path}.part", path)

    signal.signal(signal.SIGUSR1, write)
    sys.path[0] = os.getcwd()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
