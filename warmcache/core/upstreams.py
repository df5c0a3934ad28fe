"""Who answers requests."""

from warmcache.core.wording import Worded, gettext_noop


class Upstream(Worded):
    """Stored with every row and shown to people, so that figures of a simulator pass for nothing else."""

    ANTHROPIC = "anthropic", gettext_noop("the Claude API")
    SIMULATOR = "simulator", gettext_noop("SIMULATED upstream")
    LOCAL = "local", gettext_noop("a local model")
