"""Runs a command against a fresh PostgreSQL: `python -m tests.servers postgres COMMAND ...`."""

import os
import subprocess
import sys

from tests.servers import MissingServerError
from tests.servers.postgres_server import PostgresServer


def main() -> int:
    kind, *command = sys.argv[1:]
    if kind != "postgres" or not command:
        sys.exit(__doc__)
    try:
        with PostgresServer() as server:
            return subprocess.call(command, env={**os.environ, "DATABASE_URL": server.url})
    except MissingServerError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
