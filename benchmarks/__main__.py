"""`python -m benchmarks [NAME ...]`: runs the named benchmarks, or all of them."""

import argparse
import sys
from collections.abc import Callable

from benchmarks import first_token
from tests.servers import MissingServerError

BENCHMARKS: dict[str, Callable[[], None]] = {
    "first-token": first_token.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME", help=", ".join(BENCHMARKS))
    for name in parser.parse_args().names or BENCHMARKS:
        print(f"== {name}", flush=True)
        try:
            BENCHMARKS[name]()
        except MissingServerError as error:
            print(f"not measured: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
