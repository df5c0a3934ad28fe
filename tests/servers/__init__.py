"""Real servers for tests: Redis, PostgreSQL, and this project's own. Each is a child that a test may kill."""

PATIENCE_SECONDS = 90.0
"""For whatever must happen: machines are busy, and only a test that fails waits for this."""


class MissingServerError(Exception):
    """The machine lacks what a test needs, in one sentence with what to install."""
