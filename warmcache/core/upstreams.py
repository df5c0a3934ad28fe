"""The kinds of endpoint that answer requests."""

from warmcache.core.wording import Worded, gettext_noop


class Upstream(Worded):
    """Stored with every row and shown to people, so that nobody mistakes a simulator's figures for real ones."""

    ANTHROPIC = "anthropic", gettext_noop("the Claude API")
    SIMULATOR = "simulator", gettext_noop("SIMULATED upstream")
    LOCAL = "local", gettext_noop("a local model")
