"""Real servers for tests: Redis, PostgreSQL, and this project's own. Each is a child process that a test may kill."""

PATIENCE_SECONDS = 90.0
"""The limit for anything that must happen: machines are busy, and only a failing test waits this long."""


class MissingServerError(Exception):
    """The machine lacks what a test needs, in one sentence with what to install."""
