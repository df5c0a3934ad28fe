"""Real servers for tests: Redis, PostgreSQL, and this project's own. Each is a child that a test may kill."""


class MissingServerError(Exception):
    """The machine lacks what a test needs, in one sentence with what to install."""
